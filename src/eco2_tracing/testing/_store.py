"""Spans that were received, and the questions a test asks about them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from eco2_tracing.testing._model import ReceivedSpan, ReceivedTrace, group_by_trace

if TYPE_CHECKING:
    from opentelemetry.trace import SpanKind


def _listing(spans: Sequence[ReceivedSpan]) -> str:
    if not spans:
        return "no spans are held"
    return "\n".join((f"{len(spans)} spans are held:", *(f"  {span}" for span in spans)))


class SpanStore:
    """A thread-safe list of received spans with a small query surface."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._spans: list[ReceivedSpan] = []

    def _add(self, spans: Sequence[ReceivedSpan]) -> None:
        with self._changed:
            self._spans.extend(spans)
            self._changed.notify_all()

    @property
    def spans(self) -> tuple[ReceivedSpan, ...]:
        """All spans held, in the order of arrival."""
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
        """The spans that match everything given.

        Args:
            name: The whole name of the span.
            kind: The kind of the span.
            trace_id: 32 hex digits.
            service: ``service.name`` of the resource.

        Returns:
            Matching spans in the order of arrival; all of them when nothing is given.
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
        """The one span that matches; the arguments are those of :meth:`find`.

        Raises:
            AssertionError: No span matches, or more than one does.
        """
        found = self.find(name, kind=kind, trace_id=trace_id, service=service)
        if len(found) != 1:
            raise AssertionError(f"expected one matching span, found {len(found)}; {_listing(self.spans)}")
        return found[0]

    def traces(self) -> tuple[ReceivedTrace, ...]:
        """The spans held, grouped by trace id, ordered by start."""
        return group_by_trace(self.spans)

    def trace(self, trace_id: str) -> ReceivedTrace:
        """The spans of one trace, which may be none.

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
        """Wait until enough has arrived.

        Args:
            what: A number of spans to hold at least, or a predicate on all spans held.
            timeout_s: Seconds to wait at most.

        Returns:
            All spans held at that moment.

        Raises:
            TimeoutError: It did not happen in time; the message lists the spans held.
        """
        enough = (lambda spans: len(spans) >= what) if isinstance(what, int) else what
        with self._changed:
            if not self._changed.wait_for(lambda: enough(tuple(self._spans)), timeout_s):
                wanted = f"{what} spans" if isinstance(what, int) else "the condition"
                raise TimeoutError(f"waited {timeout_s:g} s for {wanted}; {_listing(self._spans)}")
            return tuple(self._spans)

    def clear(self) -> None:
        """Forget every span held."""
        with self._changed:
            self._spans.clear()
            self._changed.notify_all()
