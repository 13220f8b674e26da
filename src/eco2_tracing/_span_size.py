"""What a span weighs while it waits, and the same span made lighter.

The number of spans bounds no memory: one attribute may hold ten million characters. An estimate is enough, for it is
made when a span ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from sys import getsizeof
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, Status

from eco2_tracing._readable_span import readable_span

SMALL = 3 * 1024
"""Bytes, beside the span object itself, up to which a span is an ordinary one, which is not counted."""

_PER_ATTRIBUTE = 120
_PER_EVENT = 600
_PER_ITEM = 60
_LONG = 256
_LIGHT_CHARACTERS = 1024  # of up to four bytes
_FEW = 32
_SMALL = frozenset({float, bool, type(None)})
_ENOUGH = 1 << 20
_DEPTH = 8
_WIDE = 1 << 64

_ITEMS_OF_LIGHTENED = 16


def plain(attributes: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the SDK's mapping as a dict: iterating the mapping itself locks and copies."""
    if type(attributes) is BoundedAttributes:
        return attributes.copy()
    return attributes


def is_small(span: Any) -> bool:
    """Return True for a span that certainly holds nothing that needs weighing.

    Args:
        span: An ended span. What one of ours would still derive from a request is not looked at: that is short.
    """
    stored = getattr(span, "stored", None)
    name, events, links, *parts = _read(span) if stored is None else stored()
    if events or links:
        return False
    characters = len(name) if type(name) is str else _length(name)
    for attributes in parts:
        if not attributes:
            continue
        if len(attributes) > _FEW:
            return False
        for value in attributes.values():
            kind = type(value)
            if kind is str:
                characters += len(value)
            elif kind is int:
                if not -_WIDE < value < _WIDE:
                    return False
            elif kind not in _SMALL:
                return False
    return characters <= _LIGHT_CHARACTERS


def _read(span: ReadableSpan) -> tuple[Any, ...]:
    return span.name, span.events, span.links, span.attributes


def span_size(span: ReadableSpan) -> int:
    """Estimate the bytes that a span keeps from being freed, beside the object itself.

    Args:
        span: An ended span.
    """
    weight = _length(span.name) + _of_attributes(span.attributes)
    state = span.context.trace_state
    if state:
        weight += _PER_ATTRIBUTE * len(state)
    description = span.status.description
    if description:
        weight += len(description)
    for event in span.events:
        weight += _PER_EVENT + _length(event.name) + _of_attributes(event.attributes)
    for link in span.links:
        weight += _PER_EVENT + _of_attributes(link.attributes)
    return weight


def pruned_span(span: ReadableSpan, limit: int) -> ReadableSpan:
    """Prune a span to a size; what is left out is counted as dropped.

    Args:
        span: An ended span. One of ours is pruned in place, any other is copied.
        limit: Bytes as `span_size` counts them: about so many are left.

    Returns:
        The pruned span.
    """
    pruned = _Pruned(span, limit)
    prune: Callable[[_Pruned], None] | None = getattr(span, "prune", None)
    if prune is not None:
        prune(pruned)
        return span
    return readable_span(span, pruned)


def _length(name: object) -> int:
    return len(name) if isinstance(name, str) else _PER_ITEM  # names are whatever somebody called it by


def _short(name: Any) -> Any:
    return name[:_LONG] if isinstance(name, str) else name


def _of_attributes(attributes: Mapping[str, Any] | None) -> int:
    found = plain(attributes)
    if not found:
        return 0
    weight = _PER_ATTRIBUTE * len(found)
    # Flat on purpose: this runs where a request ends. Keys are the program's own, and shared.
    for value in found.values():
        kind = type(value)
        if kind is str:
            size = len(value)
            weight += size if size < _LONG else getsizeof(value)
        elif kind is int:
            if not -_WIDE < value < _WIDE:
                weight += getsizeof(value)
        elif kind is not float and kind is not bool:
            weight += _of_value(value, 0)
    return weight


def _of_value(value: object, depth: int) -> int:
    if isinstance(value, str | bytes | bytearray | int):
        return getsizeof(value)
    if depth > _DEPTH or not isinstance(value, Mapping | Sequence | set | frozenset):
        return _PER_ITEM
    weight = 0
    for item in value:
        weight += _PER_ITEM + _of_value(item, depth + 1)
        if isinstance(value, Mapping):
            weight += _of_value(value[item], depth + 1)
        if weight > _ENOUGH:
            break
    return weight


class _Pruned:
    """What there is room for of one span, the most telling parts first.

    Attributes:
        name, attributes, events, links, status: What is kept.
        dropped_attributes, dropped_events, dropped_links: How much is not, with what was dropped before.
    """

    def __init__(self, span: ReadableSpan, limit: int) -> None:
        self._left = limit
        status = span.status
        self.name = _short(span.name)
        self.status = Status(status.status_code, status.description and status.description[:_LONG])
        self.attributes = self._kept(span.attributes)
        self.dropped_attributes = span.dropped_attributes + len(span.attributes or ()) - len(self.attributes)
        self.events = self._latest(span.events)
        self.dropped_events = span.dropped_events + len(span.events) - len(self.events)
        # Links are kept for their ids alone.
        self.links = [Link(link.context) for link in islice(span.links, self._left // _PER_EVENT)]
        self.dropped_links = span.dropped_links + len(span.links) - len(self.links)

    def _kept(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        """Keep those attributes that there is room for, with long texts cut to a fair share of it."""
        found = plain(attributes) or {}
        longest = max(self._left // (2 * len(found) + 1), _LONG // 2)
        kept: dict[str, Any] = {}
        for key, value in found.items():
            small = _small(value, longest, 0)
            weight = _of_attributes({key: small})
            if weight <= self._left:
                self._left -= weight
                kept[key] = small
        return kept

    def _latest(self, events: Sequence[Event]) -> list[Event]:
        """Keep the latest events: the last one is often the exception."""
        kept: list[Event] = []
        for event in reversed(events):
            if self._left < _PER_EVENT:
                break
            self._left -= _PER_EVENT
            attributes = BoundedAttributes(None, self._kept(event.attributes))
            made = event.dropped_attributes + len(event.attributes or ())
            attributes.dropped = made - len(attributes)
            kept.append(Event(_short(event.name), attributes, event.timestamp))
        return kept[::-1]


def _small(value: Any, longest: int, depth: int) -> Any:
    if isinstance(value, str | bytes | bytearray):
        if getsizeof(value) <= longest:
            return value
        return value[: max(longest - 64, 0) // (1 if value.isascii() else 4)]
    if depth > _DEPTH:
        return None
    if isinstance(value, Mapping):
        share = longest // _ITEMS_OF_LIGHTENED
        items = islice(value.items(), _ITEMS_OF_LIGHTENED)
        return {_small(key, share, depth): _small(item, share, depth + 1) for key, item in items}
    if isinstance(value, Sequence | set | frozenset):
        share = longest // _ITEMS_OF_LIGHTENED
        return tuple(_small(item, share, depth + 1) for item in islice(value, _ITEMS_OF_LIGHTENED))
    return value if getsizeof(value) <= longest else None
