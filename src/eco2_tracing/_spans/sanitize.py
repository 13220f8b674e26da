"""Whatever an application hands over, as plain values: bounded, copied, with nothing in them that could fight back.

It happens once, where the application calls. All that comes later (redaction, weighing, encoding in a thread that must
not die) meets types of Python's own alone. Nothing here raises, not even what ends a process: an object whose
``__str__`` raises that has not ended ours, which is how Python's own ``traceback`` sees it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from time import time_ns
from typing import Any

from opentelemetry.trace import Link, SpanContext

from eco2_tracing._guard import attempt_silently, internal_failure, warn_once
from eco2_tracing._settings import shown_argument

PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
"""Types of which nobody can have overridden anything."""

MOST_ITEMS = 1024
"""Items that are taken of each list or mapping, and attributes of those that are set at once."""

_MOST_NODES = 2 * MOST_ITEMS  # of all levels: ten lists that hold each other may hold ten to the ninth
_MOST_OF_SPAN = 8 * MOST_ITEMS  # of all lists and mappings of a span
_DEEPEST = 16
_LATEST_NS = (1 << 63) - 1
_NOW_TOLERANCE_NS = 50_000_000
_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__


def sanitized(value: Any) -> Any:
    """One value as OpenTelemetry has it: plain, a tuple or a dictionary of such, else its text.

    Args:
        value: Anything.
    """
    return value if type(value) in PLAIN else Copier().copy(value)


def sanitized_attributes(attributes: Any, copier: Callable[[], Copier] | None = None) -> dict[str, Any]:
    """The attributes in what should be a mapping; none where it is something else.

    Args:
        attributes: What an application handed over.
        copier: Returns the span's copier, which bounds what its values hold together.

    Returns:
        The same dictionary where there is nothing to be done.
    """
    if attributes is None:
        return {}
    found: dict[str, Any] = {}
    try:
        if type(attributes) is dict and len(attributes) <= MOST_ITEMS and _is_plain(attributes):
            return attributes
        if not hasattr(type(attributes), "items"):
            return _report_unusable("attributes", attributes, 'a mapping, such as {"order.id": 7}', "none")
        copy = (copier or Copier)().copy
        for key, value in islice(attributes.items(), MOST_ITEMS):
            name = key if type(key) is str else key_of(key)
            if name:
                found[name] = value if type(value) in PLAIN else copy(value)
            else:
                _report_unusable(
                    "an attribute's name", key, 'a string that is not empty, such as "order.id"', "nothing"
                )
    except BaseException:  # noqa: BLE001 - it is the application's; what was read before stays
        internal_failure("reading attributes")
    return found


def _report_unusable(what: str, value: Any, takes: str, used: str) -> dict[str, Any]:
    """Report once what is no mapping, or no name."""
    warn_once(
        f"attributes:{what}", "%s of a span: %s takes %s; using %s", shown_argument(value), what, takes, used
    )
    return {}


def key_of(key: Any) -> str:
    """An attribute's name; nothing, which no attribute is called, for what is no text."""
    return str.__str__(key) if issubclass(type(key), str) else ""


def text_of(value: Any) -> str:
    """The text of anything, such as a span's name that should be one; ``None`` is an empty one."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return ""
    text: str | None = attempt_silently(_text, value, kind, default=None)
    return f"<unprintable {class_name(kind)}>" if text is None else text


def _text(value: Any, kind: type) -> str:
    if issubclass(kind, Sequence | Mapping):
        value = sanitized(value)  # a text too, or what has one of bounded length
    return str.__str__(str(value))


def class_name(kind: type) -> str:
    """A class's name, whatever its metaclass says."""
    return str.__str__(_name(kind))


def class_qualname(kind: type) -> str:
    """A class's qualified name, likewise."""
    return str.__str__(_qualname(kind))


def timestamp_of(time: Any) -> int | None:
    """Nanoseconds since the epoch; ``None``, which stands for now, for what is no such time."""
    kind = type(time)
    if issubclass(kind, int):
        time = int.__int__(time)
    elif issubclass(kind, float):
        time = float.__float__(time)
    else:
        return None
    return int(time) if 0 <= time <= _LATEST_NS else None


def is_now(time: int) -> bool:
    """Return True for a reading of the wall clock's present: the local trace's own clock replaces it."""
    return abs(time_ns() - time) < _NOW_TOLERANCE_NS


def sanitized_links(links: Any) -> list[Link]:
    """The links in what should be a sequence of them."""
    found: list[Link] = []
    try:
        for link in islice(links, MOST_ITEMS):
            if type(link) is Link and type(link.context) is SpanContext:
                found.append(Link(link.context, sanitized_attributes(link.attributes)))
    except BaseException:  # noqa: BLE001 - as above
        internal_failure("reading links")
    return found


def _is_plain(attributes: dict[Any, Any]) -> bool:
    for key, value in attributes.items():
        if type(value) not in PLAIN or type(key) is not str:
            return False
    return True


class Copier:
    """Copies the values of one span, and all that they hold; `…` stands for what is more than a span takes."""

    __slots__ = ("_left", "_total")

    def __init__(self) -> None:
        self._total = _MOST_OF_SPAN
        self._left = 0

    def copy(self, value: Any) -> Any:
        """Copy one value.

        Args:
            value: Anything.
        """
        given = self._left = min(_MOST_NODES, self._total)
        try:
            return self.value(value, 0)
        finally:
            self._total -= given - max(self._left, 0)

    def value(self, value: Any, depth: int) -> Any:
        """Copy one value at a depth."""
        kind = type(value)
        if kind in PLAIN:
            return value
        return attempt_silently(self._copied, value, kind, depth, default=f"<unreadable {class_name(kind)}>")

    def _copied(self, value: Any, kind: type, depth: int) -> Any:
        # By the type alone: ``isinstance`` asks the object what it is.
        for base, plain in _BUILT_IN_COPIES:
            if issubclass(kind, base):
                return plain(value)
        if issubclass(kind, Sequence):
            return "…" if depth == _DEEPEST else self._sequence(value, depth)
        if issubclass(kind, Mapping):
            return "…" if depth == _DEEPEST else self._mapping(value, depth)
        if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
            return None  # as the SDK has it: an address tells nobody anything
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
