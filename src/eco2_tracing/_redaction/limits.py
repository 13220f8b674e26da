"""Truncates texts, and limits the characters of a span or an attribute that are searched and kept."""

from __future__ import annotations

from eco2_tracing._guard import attempt_silently

# All lengths and costs are in characters.
LONGEST_ATTRIBUTE = 16 * 1024  # all items of an attribute together; truncated before the search
LONGEST_TEXT = 16 * 1024  # a free text
LONGEST_SPAN = 32 * 1024  # attributes, events and links of a span together, without texts up to `SMALL`
LONGEST_NAME = 1024  # the name of a span, event or attribute
SMALL = 256  # texts up to this length are not counted, because other limits bound their number
SEARCHES = 12 * 1024  # the search budget of one text: about 220 candidates at the cost of `PLACE`
PLACE = 56  # a candidate, where a secret may begin; searching so many characters takes as long
CHEAP = 12  # a candidate that a single match rejects
OMITTED = "…"  # replaces text beyond the budget
_LONGEST_USERINFO = 2048
_get_class_name = type.__dict__["__name__"].__get__  # ignores a `__name__` of the metaclass


def truncate(text: str, limit: int) -> str:
    """Return a text truncated to a limit in characters. An ellipsis marks its end."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    # A truncated `scheme://user:password@host` without its `@` would not be recognized, so it is removed.
    at = head.rfind("://", max(0, limit - _LONGEST_USERINFO))
    if at >= 0 and not any(char.isspace() or char in "@/?#\"'<>" for char in head[at + 3 :]):
        head = head[: at + 3]
    return f"{head}…"


def truncate_front(text: str, limit: int, mark: str) -> str:
    """Return the end of a text of at most ``limit`` characters.

    It begins at a mark, such as a frame of a stack trace, so that no secret is split.
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


class Budget:
    """A number of characters that may still be kept, or searched."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def text(self, text: str, limit: int) -> str:
        """Return a text, truncated to a limit in characters and to the budget."""
        length = min(len(text), limit, self.left)
        self.left -= length
        if length <= 0 and text:
            return OMITTED
        return text if length == len(text) else truncate(text, length)

    def places(self, text: str, mark: str, cost: int) -> str:
        """Return a text, truncated before the first candidate beyond the budget. Each begins with `mark`."""
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
