"""What a span weighs while it waits, and the same span made lighter.

The number of spans bounds no memory: one attribute may hold ten million characters. An estimate is enough, for it is
made when a span ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from sys import getsizeof
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status

LIGHT = 3 * 1024
"""Bytes, beside the span object itself, up to which a span is an ordinary one, which is not counted."""

_PER_ATTRIBUTE = 120
_PER_EVENT = 600
_PER_ITEM = 60
_LONG = 256
_LIGHT_CHARACTERS = 1024  # of up to four bytes
_FEW = 32
# Where our spans and the SDK's keep attributes: derived and final, as a library gave them, as the application set them.
_PARTS = ("_own", "_raw", "_given", "_attributes")
_SMALL = frozenset({float, bool, type(None)})
_ENOUGH = 1 << 20
_DEPTH = 8
_WIDE = 1 << 64

_ITEMS_OF_LIGHTENED = 16


def plain(attributes: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the dict inside the SDK's mapping, whose iteration locks and copies."""
    if type(attributes) is BoundedAttributes:
        return attributes._dict
    return attributes


def is_light(span: Any) -> bool:
    """Tell at a glance whether a span of ours or of the SDK's holds nothing that needs weighing.

    Args:
        span: An ended span. What it would still derive from a request is not looked at: that is short.
    """
    if span._events or span._links:
        return False
    held = span.__dict__
    characters = _length(held.get("_given_name") or held.get("_name"))
    for part in _PARTS:
        attributes = held.get(part)
        if attributes is not None:
            found = plain(attributes) or {}
            if len(found) > _FEW:
                return False
            for value in found.values():
                kind = type(value)
                if kind is str:
                    characters += len(value)
                elif kind is int:
                    if not -_WIDE < value < _WIDE:
                        return False
                elif kind not in _SMALL:
                    return False
    return characters <= _LIGHT_CHARACTERS


def weigh(span: ReadableSpan) -> int:
    """Estimate the bytes that a span keeps from being freed, beside the object itself.

    Args:
        span: An ended span.
    """
    weight = _length(span._name) + _of_attributes(span._attributes)
    state = span.context.trace_state
    if state:
        weight += _PER_ATTRIBUTE * len(state)
    description = span._status.description
    if description:
        weight += len(description)
    for event in span._events:
        weight += _PER_EVENT + _length(event.name) + _of_attributes(event.attributes)
    for link in span._links:
        weight += _PER_EVENT + _of_attributes(link.attributes)
    return weight


def lightened(span: ReadableSpan, limit: int) -> ReadableSpan:
    """Copy a span with as much of it as a limit leaves room for; what is left out is counted as dropped.

    Args:
        span: An ended span.
        limit: Bytes as `weigh` counts them: about so many are left.
    """
    cutter = _Cutter(limit)
    status = span._status
    return ReadableSpan(
        _short(span._name),
        context=span._context,
        parent=span._parent,
        resource=span._resource,
        attributes=cutter.attributes(span._attributes),
        events=cutter.events(span),
        links=cutter.links(span),
        kind=span._kind,
        status=Status(status.status_code, status.description and status.description[:_LONG]),
        start_time=span._start_time,
        end_time=span._end_time,
        instrumentation_scope=span._instrumentation_scope,
    )


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


class _Cutter:
    """Spends a limited number of bytes on the parts of one span, the most telling first."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def attributes(self, attributes: Mapping[str, Any] | None) -> BoundedAttributes:
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
        bounded = BoundedAttributes(None, kept)
        before = attributes.dropped if isinstance(attributes, BoundedAttributes) else 0
        bounded.dropped = before + len(found) - len(kept)
        return bounded

    def events(self, span: ReadableSpan) -> Any:
        """Keep the latest events: the last one is often the exception."""
        kept: list[Event] = []
        for event in reversed(span.events):
            if self._left < _PER_EVENT:
                break
            self._left -= _PER_EVENT
            kept.append(Event(_short(event.name), self.attributes(event.attributes), event.timestamp))
        return _bounded(kept[::-1], span.dropped_events + len(span._events))

    def links(self, span: ReadableSpan) -> Any:
        """Keep links for their ids alone."""
        kept = [Link(link.context) for link in islice(span._links, self._left // _PER_EVENT)]
        return _bounded(kept, span.dropped_links + len(span._links))


def _bounded(kept: Sequence[Any], made: int) -> Any:
    if not made:
        return ()
    bounded: Any = BoundedList(None)
    bounded.extend(kept)
    bounded.dropped = made - len(kept)
    return bounded


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
