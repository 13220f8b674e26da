"""Redacts ended spans before they are passed to processors and exporters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, Status

from eco2_tracing._redaction import LONGEST_SPAN, Budget, truncate

if TYPE_CHECKING:
    from eco2_tracing._redaction import Redactor
    from eco2_tracing._spans.span import Span

_LONGEST_DESCRIPTION = 4096


def redact(span: Span, redactor: Redactor) -> None:
    """Mask secrets in all values that were set on a span.

    Args:
        span: An ended span.
        redactor: Masks secrets.
    """
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
    description = span._status.description
    if description:
        text = truncate(redactor.text(truncate(description, _LONGEST_DESCRIPTION)), _LONGEST_DESCRIPTION)
        if text != description:
            span._status = Status(span._status.status_code, text)


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
    span._status = Status(span._status.status_code)


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
