"""Held spans and their query methods."""

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
