"""Held spans and their query methods; spans captured in the process, without a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from eco2_tracing.testing._model import (
    ReceivedEvent,
    ReceivedLink,
    ReceivedSpan,
    ReceivedTrace,
    group_by_trace,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind


def _listing(spans: Sequence[ReceivedSpan]) -> str:
    if not spans:
        return "no spans are held"
    return "\n".join((f"{len(spans)} spans are held:", *(f"  {span}" for span in spans)))


class SpanStore:
    """A thread-safe list of spans with query methods."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spans: list[ReceivedSpan] = []

    def _add(self, spans: Sequence[ReceivedSpan]) -> None:
        with self._changed:
            self._spans.extend(spans)
            self._changed.notify_all()

    @property
    def spans(self) -> tuple[ReceivedSpan, ...]:
        """All held spans, in the order of arrival."""
        with self._changed:
            return tuple(self._spans)

    def find(
        self,
        name: str | None = None,
        *,
        kind: SpanKind | None = None,
        trace_id: str | None = None,
        service: str | None = None,
    ) -> tuple[ReceivedSpan, ...]:
        """The spans that match every argument.

        Args:
            name: The full name of the span.
            kind: The kind of the span.
            trace_id: 32 hex digits.
            service: `service.name` of the resource.

        Returns:
            The matching spans in the order of arrival; all spans without an argument.
        """
        return tuple(
            span
            for span in self.spans
            if (name is None or span.name == name)
            and (kind is None or span.kind is kind)
            and (trace_id is None or span.trace_id == trace_id.lower())
            and (service is None or span.service == service)
        )

    def one(
        self,
        name: str | None = None,
        *,
        kind: SpanKind | None = None,
        trace_id: str | None = None,
        service: str | None = None,
    ) -> ReceivedSpan:
        """The only span that matches; the arguments are those of `find`.

        Raises:
            AssertionError: No span matches, or more than one.
        """
        found = self.find(name, kind=kind, trace_id=trace_id, service=service)
        if len(found) != 1:
            raise AssertionError(f"expected one matching span, found {len(found)}; {_listing(self.spans)}")
        return found[0]

    def traces(self) -> tuple[ReceivedTrace, ...]:
        """The held spans, grouped by trace id and ordered by start."""
        return group_by_trace(self.spans)

    def trace(self, trace_id: str) -> ReceivedTrace:
        """The held spans of one trace; there may be none.

        Args:
            trace_id: 32 hex digits.
        """
        found = self.find(trace_id=trace_id)
        return group_by_trace(found)[0] if found else ReceivedTrace(trace_id.lower(), ())

    def wait_for(
        self,
        what: int | Callable[[tuple[ReceivedSpan, ...]], bool] = 1,
        timeout_s: float = 10.0,
    ) -> tuple[ReceivedSpan, ...]:
        """Wait for spans.

        Args:
            what: The least number of held spans, or a predicate on all held spans.
            timeout_s: Seconds to wait at most.

        Returns:
            All held spans.

        Raises:
            TimeoutError: The time was up; the message lists the held spans.
        """
        enough = (lambda spans: len(spans) >= what) if isinstance(what, int) else what
        with self._changed:
            if not self._changed.wait_for(lambda: enough(tuple(self._spans)), timeout_s):
                wanted = f"{what} spans" if isinstance(what, int) else "the condition"
                raise TimeoutError(f"waited {timeout_s:g} s for {wanted}; {_listing(self._spans)}")
            return tuple(self._spans)

    def clear(self) -> None:
        """Remove every held span."""
        with self._changed:
            self._spans.clear()
            self._changed.notify_all()


def _ids(context: SpanContext) -> tuple[str, str]:
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def _plain(attributes: Mapping[str, object] | None) -> dict[str, object]:
    return dict(attributes or {})


def span_of_sdk(span: ReadableSpan) -> ReceivedSpan:
    """Convert an SDK span to the span that a receiver would hold."""
    context = span.get_span_context()
    assert context is not None, "an ended span has a context"
    trace_id, span_id = _ids(context)
    scope = span.instrumentation_scope
    return ReceivedSpan(
        name=span.name,
        kind=span.kind,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=f"{span.parent.span_id:016x}" if span.parent else None,
        attributes=_plain(span.attributes),
        resource=_plain(span.resource.attributes),
        status=span.status.status_code,
        status_description=span.status.description or "",
        events=tuple(
            ReceivedEvent(event.name, event.timestamp, _plain(event.attributes)) for event in span.events
        ),
        links=tuple(
            ReceivedLink(*_ids(link.context), _plain(link.attributes), link.context.trace_state.to_header())
            for link in span.links
        ),
        trace_state=context.trace_state.to_header(),
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        scope=scope.name if scope else "",
        scope_version=(scope.version or "") if scope else "",
        flags=int(context.trace_flags),
        dropped_attributes=span.dropped_attributes,
    )


class CapturedSpans(SpanStore, SpanProcessor):
    """A span processor that holds every ended span, with the query methods of a receiver.

    Pass it to `configure_tracing(span_processors=...)`, where it receives the spans that would be exported. Or add it
    to any `TracerProvider`.

    Examples:
        >>> captured = CapturedSpans()
        >>> configure_tracing(service_name="shop", span_processors=[captured])
        True
        >>> with span("work"):
        ...     pass
        >>> captured.one("work").service
        'shop'
    """

    def on_end(self, span: ReadableSpan) -> None:
        """Hold an ended span."""
        self._add((span_of_sdk(span),))
