"""Ended spans captured in the process, without a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from eco2_tracing.testing._model import ReceivedEvent, ReceivedLink, ReceivedSpan
from eco2_tracing.testing._store import SpanStore

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext


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

    Pass it to `configure_tracing(span_processors=...)`, where it receives the spans that would be
    exported, or add it to any `TracerProvider`.
    """

    def on_end(self, span: ReadableSpan) -> None:
        """Hold an ended span."""
        self._add((span_of_sdk(span),))
