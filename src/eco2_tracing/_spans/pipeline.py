"""Passes exported spans through ``before_export``, redaction, the application's processors and the exporters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, Status

from eco2_tracing._guard import attempt, guarded, internal_failure
from eco2_tracing._redaction import LONGEST_SPAN, Budget, truncate

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

    from eco2_tracing._redaction import Redactor
    from eco2_tracing._spans.span import Span

    BeforeExport = Callable[[Any], bool | None]

_LONGEST_DESCRIPTION = 4096


def redact(span: Span, redactor: Redactor) -> None:
    """Mask secrets in all values that were set on an ended span."""
    # One budget for attributes, events and links together. `Redactor.attributes` has its own budget.
    budget = Budget(LONGEST_SPAN) if span._events or span._links else None
    if span._given or span._merged:
        _redact_attributes(span, redactor, budget)
    name = span._given_name  # a derived name holds only the method and the route template
    if name is not None and (clean := redactor.name(name)) is not name:
        span._given_name = clean
    if span._events:
        span._events = [_event(event, redactor, budget) for event in span._events]
    if span._links:
        span._links = [_link(link, redactor, budget) for link in span._links]
    description = span.status.description
    if description:
        text = truncate(redactor.text(truncate(description, _LONGEST_DESCRIPTION)), _LONGEST_DESCRIPTION)
        if text != description:
            span.status = Status(span.status.status_code, text)


def _redact_attributes(span: Span, redactor: Redactor, budget: Budget | None) -> None:
    """Mask secrets in the attributes that the application set. Derived attributes are masked already."""
    given, merged = span._given, span._merged
    unmasked: Mapping[str, object] = {**merged, **given} if given and merged else given or merged or {}
    masked: Mapping[str, Any] | None = redactor.attributes(unmasked, budget)
    if masked is not None:
        derived: Mapping[str, Any] = span._derive()
        # A name may contain a secret, so the unmasked names are removed.
        kept: dict[str, Any] = {key: derived[key] for key in derived if key not in unmasked}
        span._derived = {**kept, **masked}
        span._given = span._merged = None


def strip(span: Span) -> None:
    """Remove attributes, events, links and the status description from a span whose redaction failed."""
    span._derived, span._given, span._merged, span._description = {}, None, None, None
    span._events = span._links = ()
    span.status = Status(span.status.status_code)


def _event(event: Event, redactor: Redactor, budget: Budget | None) -> Event:
    name = redactor.name(event.name)
    masked = redactor.attributes(event.attributes or {}, budget)
    if name is event.name and masked is None:
        return event
    attributes = event.attributes if masked is None else _with_dropped_count(masked, event.dropped_attributes)
    return Event(name, attributes, event.timestamp)


def _link(link: Link, redactor: Redactor, budget: Budget | None) -> Link:
    masked = redactor.attributes(link.attributes or {}, budget)
    return (
        link if masked is None else Link(link.context, _with_dropped_count(masked, link.dropped_attributes))
    )


def _with_dropped_count(masked: Mapping[str, Any], dropped: int) -> BoundedAttributes:
    counted = BoundedAttributes(None, masked)
    counted.dropped = dropped
    return counted


@dataclass(slots=True, eq=False, repr=False)
class Pipeline:
    """Processes each ended span that is exported, once.

    Attributes:
        redactor: Masks secrets.
        processors: The application's span processors, which get redacted spans. One may be added at any time.
        exporters: The batch processors of this library.
        before_export: May edit each span. It returns ``False`` to drop the span. It runs before redaction, so that
            the values that it sets are masked too.
        dropped: The number of spans that ``before_export`` dropped, under the key ``before_export``.
    """

    redactor: Redactor
    processors: list[SpanProcessor]
    exporters: Sequence[SpanProcessor]
    before_export: BeforeExport | None = None
    dropped: Counter[str] = field(default_factory=Counter)

    def started(self, span: Span, parent_context: Context | None) -> None:
        """Call ``on_start`` of the application's processors for a recording span."""
        for processor in tuple(self.processors):
            with guarded(f"{type(processor).__name__}.on_start"):
                processor.on_start(span, parent_context)  # type: ignore[arg-type] # `Span` has the same public methods

    def emit(self, span: Span) -> None:
        """Redact one ended span and pass it to processors and exporters.

        Processors get a `ReadableSpan` of the SDK. Exporters get the same object, with the changes of processors.
        """
        if self.before_export is not None and not self._is_kept(span, self.before_export):
            return
        try:
            redact(span, self.redactor)
        except Exception:  # noqa: BLE001 - values of the application may raise
            internal_failure("redacting a span")
            strip(span)
        emitted: ReadableSpan = span
        if self.processors:
            emitted = span.snapshot()
            for processor in tuple(self.processors):
                with guarded(f"{type(processor).__name__}.on_end"):
                    processor.on_end(emitted)
        for exporter in self.exporters:
            exporter.on_end(emitted)

    def _is_kept(self, span: Span, before_export: BeforeExport) -> bool:
        if attempt("before_export", span.edit, before_export, default=True):
            return True
        self.dropped["before_export"] += 1
        return False
