"""Sanitizes values of the application: copies them to built-in types of limited size.

Values are sanitized once, in the call that passes them to the library. All later stages (redaction, measuring,
encoding in a background thread) get built-in types only. Nothing here raises: even a `BaseException` that an
object's ``__str__`` raises is caught, as in Python's own ``traceback``.

Attribute limits: https://opentelemetry.io/docs/specs/otel/common/#attribute-limits
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from time import time_ns
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.trace import Link, SpanContext

from eco2_tracing._guard import attempt_silently, internal_failure, warn_once
from eco2_tracing._settings import shown_argument

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanLimits


PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
"""Built-in types that need no copy. Subclasses do: they may override methods."""

MOST_ITEMS = 1024
"""Maximum number of copied items of a list or mapping, and of attributes in one call."""

_MOST_NODES = 2 * MOST_ITEMS  # items of one value on all levels: nested lists may hold 10**9 items
_MOST_OF_SPAN = 8 * MOST_ITEMS  # items of all lists and mappings of a span
_DEEPEST = 16
_LATEST_NS = (1 << 63) - 1
_NOW_TOLERANCE_NS = 50_000_000
_get_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_get_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_T = TypeVar("_T")
_USUAL_COUNT = 128


def sanitized(value: Any) -> Any:
    """Return a built-in type, a tuple or dictionary of such values, or the text of an object of another type."""
    return value if type(value) in PLAIN else Copier().copy(value)


def sanitized_attributes(attributes: Any, copier: Callable[[], Copier] | None = None) -> dict[str, Any]:
    """Return sanitized attributes: the same dictionary if all are sanitized already, an empty one if it is no mapping.

    ``copier`` returns the span's copier, which limits the items of all values of the span.
    """
    if attributes is None:
        return {}
    sanitized_items: dict[str, Any] = {}
    try:
        if type(attributes) is dict and len(attributes) <= MOST_ITEMS and _is_plain(attributes):
            return attributes
        if not hasattr(type(attributes), "items"):
            return _report_unusable("attributes", attributes, 'a mapping, such as {"order.id": 7}', "none")
        copy = (copier or Copier)().copy
        for key, value in islice(attributes.items(), MOST_ITEMS):
            name = key if type(key) is str else attribute_name(key)
            if name:
                sanitized_items[name] = value if type(value) in PLAIN else copy(value)
            else:
                _report_unusable(
                    "an attribute's name", key, 'a string that is not empty, such as "order.id"', "nothing"
                )
    except BaseException:  # noqa: BLE001 - the application's mapping may raise; attributes read so far are kept
        internal_failure("reading attributes")
    return sanitized_items


def _report_unusable(what: str, value: Any, takes: str, used: str) -> dict[str, Any]:
    """Report once that attributes are not a mapping, or that an attribute's name is not a text."""
    warn_once(
        f"attributes:{what}", "%s of a span: %s takes %s; using %s", shown_argument(value), what, takes, used
    )
    return {}


def attribute_name(key: Any) -> str:
    """Return an attribute's name; an empty text, which is not a valid name, if the key is not a text."""
    return str.__str__(key) if issubclass(type(key), str) else ""


def text_of(value: Any) -> str:
    """Return the text of any object, such as a span's name; an empty text for ``None``."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return ""
    text: str | None = attempt_silently(_text, value, kind, default=None)
    return f"<unprintable {class_name(kind)}>" if text is None else text


def _text(value: Any, kind: type) -> str:
    if issubclass(kind, Sequence | Mapping):
        value = sanitized(value)  # limits the length of the text
    return str.__str__(str(value))


def class_name(kind: type) -> str:
    """Return the name of a class. A ``__name__`` that its metaclass defines is ignored, because it may raise."""
    return str.__str__(_get_name(kind))


def class_qualname(kind: type) -> str:
    """Return the qualified name of a class. A ``__qualname__`` that its metaclass defines is ignored."""
    return str.__str__(_get_qualname(kind))


def timestamp_of(time: Any) -> int | None:
    """Return a time in nanoseconds since the epoch; ``None``, which means now, if the argument is not valid."""
    kind = type(time)
    if issubclass(kind, int):
        time = int.__int__(time)
    elif issubclass(kind, float):
        time = float.__float__(time)
    else:
        return None
    return int(time) if 0 <= time <= _LATEST_NS else None


def is_now(time: int) -> bool:
    """Return True if a time is within 50 ms of the wall clock. The clock of the local trace replaces such a time."""
    return abs(time_ns() - time) < _NOW_TOLERANCE_NS


def sanitized_links(links: Any) -> list[Link]:
    """Return the valid links of a sequence, with sanitized attributes."""
    valid: list[Link] = []
    try:
        for link in islice(links, MOST_ITEMS):
            if type(link) is Link and type(link.context) is SpanContext:
                valid.append(Link(link.context, sanitized_attributes(link.attributes)))
    except BaseException:  # noqa: BLE001 - the application's sequence may raise
        internal_failure("reading links")
    return valid


def _is_plain(attributes: dict[Any, Any]) -> bool:
    for key, value in attributes.items():
        if type(value) not in PLAIN or type(key) is not str:
            return False
    return True


class Copier:
    """Copies the values of one span with all nested items. `…` replaces the items beyond the limits."""

    __slots__ = ("_left", "_total")

    def __init__(self) -> None:
        self._total = _MOST_OF_SPAN
        self._left = 0

    def copy(self, value: Any) -> Any:
        """Return a copy of one value."""
        allowed = self._left = min(_MOST_NODES, self._total)
        try:
            return self.value(value, 0)
        finally:
            self._total -= allowed - max(self._left, 0)

    def value(self, value: Any, depth: int) -> Any:
        """Return a copy of one value at a nesting depth."""
        kind = type(value)
        if kind in PLAIN:
            return value
        return attempt_silently(self._copied, value, kind, depth, default=f"<unreadable {class_name(kind)}>")

    def _copied(self, value: Any, kind: type, depth: int) -> Any:
        # The type is checked, because ``isinstance`` reads the object's `__class__`, which may raise.
        for base, plain in _BUILT_IN_COPIES:
            if issubclass(kind, base):
                return plain(value)
        if issubclass(kind, Sequence):
            return "…" if depth == _DEEPEST else self._sequence(value, depth)
        if issubclass(kind, Mapping):
            return "…" if depth == _DEEPEST else self._mapping(value, depth)
        if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
            return None  # as in the SDK: the default text holds only the object's address
        return text_of(value)

    def _sequence(self, value: Any, depth: int) -> Any:
        items = []
        for item in islice(value, MOST_ITEMS):
            self._left -= 1
            if self._left < 0:
                items.append("…")
                break
            items.append(self.value(item, depth + 1))
        return tuple(items)

    def _mapping(self, value: Any, depth: int) -> Any:
        items = {}
        for key, item in islice(value.items(), MOST_ITEMS):
            self._left -= 1
            if self._left < 0:
                items["…"] = "…"
                break
            if name := text_of(key):
                items[name] = self.value(item, depth + 1)
        return items


_BUILT_IN_COPIES: Any = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
)


def are_narrow(limits: SpanLimits) -> bool:
    """Return True if derived attributes must be checked against these limits."""
    count = limits.max_span_attributes
    return limits.max_span_attribute_length is not None or (count is not None and count < _USUAL_COUNT)


def limit_attributes(attributes: Mapping[str, Any], limits: SpanLimits, others: int) -> dict[str, Any]:
    """Return derived attributes within the limits: the first ones are kept, and texts are truncated.

    ``others`` is the number of attributes that the application has set.
    """
    count = limits.max_span_attributes
    left = None if count is None else max(0, count - others)
    length = limits.max_span_attribute_length
    kept = islice(attributes.items(), left)
    return dict(kept) if length is None else {key: truncate(value, length) for key, value in kept}


def truncate(value: Any, length: int) -> Any:
    """Return a sanitized value with its text, or each text of a sequence or mapping, truncated."""
    if isinstance(value, str):
        return value[:length]
    if isinstance(value, tuple | list):
        return type(value)(truncate(item, length) for item in value)
    if isinstance(value, dict):
        return {key: truncate(item, length) for key, item in value.items()}
    return value


def append(items: Sequence[_T], item: _T, most: int | None) -> tuple[Sequence[_T], int]:
    """Append an item to a list of limited length; return the list, and the number of dropped items.

    The oldest items are dropped, as in the SDK. An empty tuple is replaced by a list; ``None`` is no limit.
    """
    kept = items if isinstance(items, list) else list(items)
    kept.append(item)
    surplus = 0 if most is None else max(len(kept) - most, 0)
    del kept[:surplus]
    return kept, surplus
