"""The last stretch of a span: redaction, the application's processors, the exporters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status

from eco2_tracing._guard import internal_failure
from eco2_tracing._redaction import LONGEST_SPAN, Budget, cut
from eco2_tracing._spans._lean import LeanSpan

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor

    from eco2_tracing._redaction import Redactor

_LONGEST_DESCRIPTION = 4096


class Pipeline:
    """What every span that is exported passes, once.

    Args:
        redactor: Masks secrets and cuts lengths.
        processors: The application's; they see what will be exported.
        exporters: Ours.
    """

    def __init__(
        self, redactor: Redactor, processors: Sequence[SpanProcessor], exporters: Sequence[SpanProcessor]
    ) -> None:
        self._redactor = redactor
        self._processors = tuple(processors)
        self._exporters = tuple(exporters)

    def add(self, processor: SpanProcessor) -> None:
        """Take one more processor of the application's.

        Args:
            processor: Sees what will be exported from now on.
        """
        self._processors = (*self._processors, processor)

    @property
    def has_processors(self) -> bool:
        """Whether the application gave processors."""
        return bool(self._processors)

    def started(self, span: Any, parent_context: Context | None) -> None:
        """Tell the application's processors of a recorded span's beginning."""
        for processor in self._processors:
            try:
                processor.on_start(span, parent_context)
            except Exception:  # noqa: BLE001 - code of others
                internal_failure(f"{type(processor).__name__}.on_start")

    def emit(self, span: Any) -> None:
        """Send one ended span on its way."""
        try:
            self._redact(span)
        except Exception:  # noqa: BLE001 - code of others
            internal_failure("redacting a span")
            _empty(span)
        for processor in self._processors:
            try:
                processor.on_end(span)
            except Exception:  # noqa: BLE001 - code of others
                internal_failure(f"{type(processor).__name__}.on_end")
        for exporter in self._exporters:
            exporter.on_end(span)

    def _redact(self, span: Any) -> None:
        redactor = self._redactor
        # One bound for all that the span holds; attributes alone have one of their own.
        budget = Budget(LONGEST_SPAN) if span._events or span._links else None
        if isinstance(span, LeanSpan):
            # What a lean span derives is clean already; what was set on it is not.
            span.redact(
                redactor.attributes if budget is None else partial(redactor.attributes, budget=budget)
            )
            name = span._given_name
        else:
            masked = redactor.attributes(span._attributes, budget)
            if masked is not None:
                span._attributes = _counted(masked, span._attributes)
            name = span._name
        if name is not None and (clean := redactor.name(name)) is not name:
            span._name = clean
        for event in span._events or ():
            event._name = redactor.name(event._name)
            masked = redactor.attributes(event.attributes or {}, budget)
            if masked is not None:
                event._attributes = _counted(masked, event.attributes)
        if span._links:
            self._redact_links(span, budget)
        description = span._status.description
        if description:
            text = cut(redactor.text(cut(description, _LONGEST_DESCRIPTION)), _LONGEST_DESCRIPTION)
            if text != description:
                span._status = Status(span._status.status_code, text)

    def _redact_links(self, span: Any, budget: Budget | None) -> None:
        links: Any = span._links
        for at, link in enumerate(links):
            masked = self._redactor.attributes(link.attributes or {}, budget)
            if masked is not None:
                if links is span._links:
                    links = list(links)
                # Not in place: a link is the application's, for as many spans as it likes.
                links[at] = Link(link.context, _counted(masked, link.attributes))
        if links is not span._links:
            bounded = BoundedList.from_seq(len(links), links)
            bounded.dropped = span.dropped_links
            span._links = bounded


def _counted(masked: dict[str, Any], before: Any) -> Any:
    """Keep what the attributes say about dropped ones."""
    dropped = before.dropped if isinstance(before, BoundedAttributes) else 0
    if not dropped:
        return masked
    counted = BoundedAttributes(None, masked)
    counted.dropped = dropped
    return counted


def _empty(span: Any) -> None:
    """Take off whatever may hold a secret that was not found."""
    span._attributes = {}
    span._events = span._links = ()
    span._status = Status(span._status.status_code)
