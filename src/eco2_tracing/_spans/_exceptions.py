"""An exception as span attributes, bounded and safe from the exception's own methods."""

from __future__ import annotations

import traceback
from typing import Any

MESSAGE_LIMIT = 4096
"""Characters of an exception's message that are kept."""

STACKTRACE_LIMIT = 32768
"""Characters of a stack trace that are kept: its end, where the exception was raised."""

_FRAMES_LIMIT = 128


def type_name(exception: BaseException) -> str:
    """The exception's class as the semantic conventions write it: with its module, but for built-ins."""
    kind = type(exception)
    module = kind.__module__
    return kind.__qualname__ if module in (None, "builtins") else f"{module}.{kind.__qualname__}"


def message(exception: BaseException) -> str:
    """The exception's message, cut at ``MESSAGE_LIMIT``; a fallback where ``__str__`` raises."""
    try:
        return _cut(str(exception))
    except Exception:  # noqa: BLE001 - values and exceptions are the application's
        return "<exception str() failed>"


def came_through(exception: BaseException, function: Any) -> bool:
    """Whether a function of Python's was on the way that an exception took.

    Args:
        exception: What was raised.
        function: A function, a coroutine function or a method.
    """
    code = getattr(function, "__code__", None)
    return any(frame.f_code is code for frame, _ in traceback.walk_tb(exception.__traceback__))


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def exception_attributes(exception: BaseException, *, escaped: bool = False) -> dict[str, Any]:
    """The attributes of an ``exception`` event.

    Args:
        exception: What was raised.
        escaped: Whether it left the span's scope.

    Returns:
        ``exception.type``, ``.message``, ``.stacktrace`` and ``.escaped``, as OpenTelemetry's
        exception conventions name them.
    """
    try:
        lines = traceback.format_exception(type(exception), exception, exception.__traceback__, _FRAMES_LIMIT)
        # A message is one line here, however long: it must not push the frames out.
        stack = "".join([_cut(line) for line in lines])
    except Exception:  # noqa: BLE001 - values and exceptions are the application's
        stack = "<no stack trace: the exception cannot be formatted>"
    if len(stack) > STACKTRACE_LIMIT:
        stack = "…" + stack[1 - STACKTRACE_LIMIT :]
    return {
        "exception.type": type_name(exception),
        "exception.message": message(exception),
        "exception.stacktrace": stack,
        "exception.escaped": str(escaped),
    }
