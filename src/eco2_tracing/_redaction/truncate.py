"""Texts of any objects, and their lengths."""

from __future__ import annotations

from eco2_tracing._guard import attempt_silently

_LONGEST_USERINFO = 2048
_NAME = type.__dict__["__name__"].__get__  # past what a metaclass says


def truncate(text: str, limit: int) -> str:
    """Shorten a text to a limit, and mark the cut.

    Args:
        text: Any text.
        limit: Its greatest length in characters.
    """
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    # Of `scheme://user:password@host` the part before the `@` would not be known for what it is.
    at = head.rfind("://", max(0, limit - _LONGEST_USERINFO))
    if at >= 0 and not any(char.isspace() or char in "@/?#\"'<>" for char in head[at + 3 :]):
        head = head[: at + 3]
    return f"{head}…"


def truncate_front(text: str, limit: int, mark: str) -> str:
    """Keep a text's end, from a place on where no secret is cut in two.

    Args:
        text: Any text.
        limit: Its greatest length in characters.
        mark: What begins a part of its own, such as a frame of a stack trace.
    """
    if len(text) <= limit:
        return text
    at = text.find(mark, len(text) - limit + 1)
    return "…" if at < 0 else f"…{text[at:]}"


def printable(value: object) -> str:
    """Turn any object into text, also one whose `__str__` raises, were it what ends a process."""
    text = attempt_silently(_text, value, default=None)
    return f"<unprintable {_NAME(type(value))}>" if text is None else text


def _text(value: object) -> str:
    return str.__str__(value) if isinstance(value, str) else str.__str__(str(value))
