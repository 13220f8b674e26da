"""Redaction of an ended span, before anything outside the library sees it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, Status

from eco2_tracing._redaction import LONGEST_SPAN, Budget, cut

if TYPE_CHECKING:
    from eco2_tracing._redaction import Redactor
    from eco2_tracing._spans.span import Span

_LONGEST_DESCRIPTION = 4096


def redact(span: Span, redactor: Redactor) -> None:
    """Mask secrets in everything that was set on a span.

    Args:
        span: An ended span.
        redactor: Masks secrets.
    """
    # One bound for all that the span holds; attributes alone have one of their own.
    budget = Budget(LONGEST_SPAN) if span._events or span._links else None
    # Derived attributes were masked where they were derived.
    if span._given or span._merged or span.all_given:
        span.redact(redactor.attributes if budget is None else partial(redactor.attributes, budget=budget))
    name = span._given_name
    if name is not None and (clean := redactor.name(name)) is not name:
        span._given_name = clean
    if span._events:
        span._events = [_event(event, redactor, budget) for event in span._events]
    if span._links:
        span._links = [_link(link, redactor, budget) for link in span._links]
    description = span._status.description
    if description:
        text = cut(redactor.text(cut(description, _LONGEST_DESCRIPTION)), _LONGEST_DESCRIPTION)
        if text != description:
            span._status = Status(span._status.status_code, text)


def strip(span: Span) -> None:
    """Remove from a span whatever may contain a secret that was not found."""
    span._own, span._given, span._merged = {}, None, None
    span._events = span._links = ()
    span._status = Status(span._status.status_code)


def _event(event: Event, redactor: Redactor, budget: Budget | None) -> Event:
    name = redactor.name(event.name)
    masked = redactor.attributes(event.attributes or {}, budget)
    if name is event.name and masked is None:
        return event
    attributes = event.attributes if masked is None else _counted(masked, event.dropped_attributes)
    return Event(name, attributes, event.timestamp)


def _link(link: Link, redactor: Redactor, budget: Budget | None) -> Link:
    masked = redactor.attributes(link.attributes or {}, budget)
    return link if masked is None else Link(link.context, _counted(masked, link.dropped_attributes))


def _counted(masked: Mapping[str, Any], dropped: int) -> BoundedAttributes:
    counted = BoundedAttributes(None, masked)
    counted.dropped = dropped
    return counted
