"""Truncates texts, and limits the characters of a span or an attribute that are searched and kept."""

from __future__ import annotations

from eco2_tracing._guard import attempt_silently

_LONGEST_USERINFO = 2048
_get_class_name = type.__dict__["__name__"].__get__  # ignores a `__name__` of the metaclass


def truncate(text: str, limit: int) -> str:
    """Return a text truncated to a limit. An ellipsis marks its end.

    Args:
        text: Any text.
        limit: Maximum length in characters.
    """
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    # A truncated `scheme://user:password@host` without its `@` would not be recognized, so it is removed.
    at = head.rfind("://", max(0, limit - _LONGEST_USERINFO))
    if at >= 0 and not any(char.isspace() or char in "@/?#\"'<>" for char in head[at + 3 :]):
        head = head[: at + 3]
    return f"{head}…"


def truncate_front(text: str, limit: int, mark: str) -> str:
    """Return the end of a text. It begins at a mark, so that no secret is split.

    Args:
        text: Any text.
        limit: Maximum length in characters.
        mark: The text at which a part begins, such as a frame of a stack trace.
    """
    if len(text) <= limit:
        return text
    at = text.find(mark, len(text) - limit + 1)
    return "…" if at < 0 else f"…{text[at:]}"


def printable(value: object) -> str:
    """Return the text of any object. Everything that its `__str__` raises is caught, also `SystemExit`."""
    text = attempt_silently(_text, value, default=None)
    return f"<unprintable {_get_class_name(type(value))}>" if text is None else text


def _text(value: object) -> str:
    return str.__str__(value) if isinstance(value, str) else str.__str__(str(value))


LONGEST_ATTRIBUTE = 16 * 1024
"""Maximum length of an attribute in characters, of all its items together. It is truncated before the search."""

LONGEST_TEXT = 16 * 1024
"""Maximum length of a free text in characters."""

LONGEST_SPAN = 32 * 1024
"""Maximum length of a span's attributes, events and links together, in characters. Short texts are not counted."""

SEARCHES = 12 * 1024
"""The search budget of one text, in characters. It allows about 220 candidates at the cost of `PLACE`."""

PLACE = 56
"""The cost of a candidate, a position where a secret may begin. Searching so many characters takes as long."""

CHEAP = 12
"""The cost of a candidate that a single match rejects, in characters."""

LONGEST_NAME = 1024
"""Maximum length of the name of a span, event or attribute, in characters."""

SMALL = 256
"""Texts up to this length are not counted, because other limits bound their number."""

OMITTED = "…"
"""Replaces text beyond the budget."""


class Budget:
    """A number of characters that may still be kept, or searched.

    Args:
        left: The number of characters.
    """

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def text(self, text: str, limit: int) -> str:
        """Return a text, truncated to a limit and to the budget.

        Args:
            text: Any text.
            limit: Maximum length in characters.
        """
        length = len(text)
        length = min(length, limit)
        length = min(length, self.left)
        self.left -= length
        if length <= 0 and text:
            return OMITTED
        return text if length == len(text) else truncate(text, length)

    def places(self, text: str, mark: str, cost: int) -> str:
        """Return a text, truncated before the first candidate beyond the budget.

        Args:
            text: Any text.
            mark: The text at which each candidate begins.
            cost: The cost of a candidate in characters.
        """
        left = self.left
        self.left -= cost * text.count(mark)
        if self.left >= 0:
            return text
        at = text.find(mark)
        while left >= cost:
            left -= cost
            at = text.find(mark, at + len(mark))
        self.left = left
        return text[:at] + OMITTED
