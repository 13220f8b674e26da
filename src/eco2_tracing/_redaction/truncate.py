"""Truncates texts, and converts any object to text."""

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
