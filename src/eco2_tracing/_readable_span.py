"""Builds, measures and prunes the SDK's `ReadableSpan`.

A limit on the number of spans does not limit memory: one attribute may hold ten million characters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from sys import getsizeof
from typing import Any, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status

_Item = TypeVar("_Item")
Attributes = Mapping[str, Any]
SMALL = 3 * 1024
"""Bytes, beside the span object, up to which a span does not count against a byte limit."""

_PER_ATTRIBUTE = 120
_PER_EVENT = 600
_PER_ITEM = 60
_LONG = 256
_FEW_CHARACTERS = 1024  # up to four bytes each
_FEW_ATTRIBUTES = 32
_SMALL_TYPES = frozenset({float, bool, type(None)})
_COUNTED_BYTES = 1 << 20
_DEPTH = 8
_LARGE_INT = 1 << 64
_KEPT_ITEMS = 16


def readable_span(span: ReadableSpan, contents: Any) -> ReadableSpan:
    """Return a span with the identity of one span: context, parent, resource, scope, kind and times.

    Its name, status, attributes, events, links and dropped counts are those of ``contents``. The span itself gives a
    copy.
    """
    attributes = BoundedAttributes(None, contents.attributes)
    attributes.dropped = contents.dropped_attributes
    return ReadableSpan(
        name=contents.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=_bounded(contents.events, contents.dropped_events),
        links=_bounded(contents.links, contents.dropped_links),
        kind=span.kind,
        status=contents.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _bounded(items: Sequence[_Item], dropped: int) -> BoundedList[_Item]:
    bounded: BoundedList[_Item] = BoundedList.from_seq(None, items)
    bounded.dropped = dropped
    return bounded


def plain(attributes: Attributes | None) -> Attributes | None:
    """Return the SDK's mapping as a dict: iterating over that mapping locks and copies it."""
    return attributes.copy() if type(attributes) is BoundedAttributes else attributes


def is_small(span: ReadableSpan) -> bool:
    """Return True if an ended span is certainly small, without estimating its size.

    Attributes that one of ours derives later are short and not looked at.
    """
    stored: Callable[[], tuple[Any, ...]] | None = getattr(span, "stored", None)
    name, events, links, *parts = (
        (span.name, span.events, span.links, span.attributes) if stored is None else stored()
    )
    if events or links:
        return False
    characters = len(name) if type(name) is str else _length(name)
    for attributes in parts:
        if not attributes:
            continue
        if len(attributes) > _FEW_ATTRIBUTES:
            return False
        for value in attributes.values():
            kind = type(value)
            if kind is str:
                characters += len(value)
            elif kind is int:
                if not -_LARGE_INT < value < _LARGE_INT:
                    return False
            elif kind not in _SMALL_TYPES:
                return False
    return characters <= _FEW_CHARACTERS


def span_size(span: ReadableSpan) -> int:
    """Estimate the bytes that an ended span holds, beside the object itself."""
    size = _length(span.name) + _attributes_size(span.attributes)
    if span.context.trace_state:
        size += _PER_ATTRIBUTE * len(span.context.trace_state)
    if span.status.description:
        size += len(span.status.description)
    for event in span.events:
        size += _PER_EVENT + _length(event.name) + _attributes_size(event.attributes)
    for link in span.links:
        size += _PER_EVENT + _attributes_size(link.attributes)
    return size


def pruned_span(span: ReadableSpan, limit: int) -> ReadableSpan:
    """Prune an ended span to about the size that `span_size` estimates. Removed parts are counted as dropped.

    A span of ours is pruned in place; others are copied.
    """
    pruned = _PrunedContents(span, limit)
    prune = getattr(span, "prune", None)
    if prune is None:
        return readable_span(span, pruned)
    prune(pruned)
    return span


def _length(name: object) -> int:
    return len(name) if isinstance(name, str) else _PER_ITEM  # processors may set a name of any type


def _attributes_size(attributes: Attributes | None) -> int:
    found = plain(attributes)
    if not found:
        return 0
    size = _PER_ATTRIBUTE * len(found)
    # One flat loop: this runs when a request ends. Keys are constants of the program and take no memory.
    for value in found.values():
        kind = type(value)
        if kind is str:
            length = len(value)
            size += length if length < _LONG else getsizeof(value)
        elif kind is int:
            if not -_LARGE_INT < value < _LARGE_INT:
                size += getsizeof(value)
        elif kind is not float and kind is not bool:
            size += _value_size(value, 0)
    return size


def _value_size(value: object, depth: int) -> int:
    if isinstance(value, str | bytes | bytearray | int):
        return getsizeof(value)
    if depth > _DEPTH or not isinstance(value, Mapping | Sequence | AbstractSet):
        return _PER_ITEM
    size = 0
    for item in value:
        size += _PER_ITEM + _value_size(item, depth + 1)
        if isinstance(value, Mapping):
            size += _value_size(value[item], depth + 1)
        if size > _COUNTED_BYTES:
            break
    return size


class _PrunedContents:
    """The parts of a span that fit into a size; see `readable_span` for the attributes.

    Attributes come first, then the latest events, then links.
    """

    def __init__(self, span: ReadableSpan, limit: int) -> None:
        self._left = limit
        status = span.status
        self.name = _short_name(span.name)
        self.status = Status(status.status_code, status.description and status.description[:_LONG])
        self.attributes = self._prune_attributes(span.attributes)
        self.dropped_attributes = span.dropped_attributes + len(span.attributes or ()) - len(self.attributes)
        self.events = self._prune_events(span.events)
        self.dropped_events = span.dropped_events + len(span.events) - len(self.events)
        self.links = [Link(link.context) for link in islice(span.links, self._left // _PER_EVENT)]
        self.dropped_links = span.dropped_links + len(span.links) - len(self.links)

    def _prune_attributes(self, attributes: Attributes | None) -> dict[str, Any]:
        """Keep the attributes that fit. Long texts are truncated to an equal share."""
        found = plain(attributes) or {}
        longest = max(self._left // (2 * len(found) + 1), _LONG // 2)
        kept: dict[str, Any] = {}
        for key, value in found.items():
            short = _short_value(value, longest, 0)
            size = _attributes_size({key: short})
            if size <= self._left:
                self._left -= size
                kept[key] = short
        return kept

    def _prune_events(self, events: Sequence[Event]) -> list[Event]:
        """Keep the latest events: the last one is often the exception."""
        kept: list[Event] = []
        for event in reversed(events):
            if self._left < _PER_EVENT:
                break
            self._left -= _PER_EVENT
            attributes = BoundedAttributes(None, self._prune_attributes(event.attributes))
            recorded = event.dropped_attributes + len(event.attributes or ())
            attributes.dropped = recorded - len(attributes)
            kept.append(Event(_short_name(event.name), attributes, event.timestamp))
        return kept[::-1]


def _short_name(name: Any) -> Any:
    return name[:_LONG] if isinstance(name, str) else name


def _short_value(value: object, longest: int, depth: int) -> object:
    if isinstance(value, str | bytes | bytearray):
        if getsizeof(value) <= longest:
            return value
        return value[: max(longest - 64, 0) // (1 if value.isascii() else 4)]
    if depth > _DEPTH:
        return None
    share = longest // _KEPT_ITEMS
    if isinstance(value, Mapping):
        items = islice(value.items(), _KEPT_ITEMS)
        return {_short_value(key, share, depth): _short_value(item, share, depth + 1) for key, item in items}
    if isinstance(value, Sequence | AbstractSet):
        return tuple(_short_value(item, share, depth + 1) for item in islice(value, _KEPT_ITEMS))
    return value if getsizeof(value) <= longest else None
