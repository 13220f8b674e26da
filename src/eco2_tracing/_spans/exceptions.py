"""Converts exceptions to span attributes of limited size. Errors in the exception's own methods are caught."""

from __future__ import annotations

import traceback
from typing import Any

from opentelemetry.trace import Status, StatusCode

from eco2_tracing._guard import attempt_silently
from eco2_tracing._redaction import LONGEST_TEXT
from eco2_tracing._spans.sanitize import class_name, class_qualname, text_of

MESSAGE_LIMIT = 4096
"""Maximum length of an exception's message in characters."""

STACKTRACE_LIMIT = LONGEST_TEXT
"""Maximum length of a stack trace in characters. The end is kept, because it shows where the error was raised."""

RECORDED_KEY = "__eco2_recorded_in__"
"""Attribute of an exception object that stores the id of the trace in which the exception is recorded."""

_FRAMES_LIMIT = 128
_LINKED_LIMIT = 32
_DEEPEST_GROUP = 100


def type_name(exception: BaseException) -> str:
    """Return the name of the exception's class with its module; the module is omitted for built-in classes."""
    kind = type(exception)
    name = class_qualname(kind)
    module = attempt_silently(getattr, kind, "__module__", default=None)
    return f"{module}.{name}" if type(module) is str and module != "builtins" else name


def message(exception: BaseException) -> str:
    """Return the exception's message, truncated to ``MESSAGE_LIMIT``; a fixed text if ``__str__`` raises."""
    if not issubclass(type(exception), BaseException):
        return _truncated(text_of(exception))  # the application recorded an object that is no exception
    return _truncated(
        attempt_silently(lambda: str.__str__(str(exception)), default="<exception str() failed>")
    )


def mark_recorded(exception: BaseException, trace_id: int) -> bool:
    """Mark an exception as recorded in a trace, by a manual or client span; return True if it was not marked before."""
    state = exception.__dict__  # frozen exception classes raise in __setattr__
    if state.get(RECORDED_KEY) == trace_id:
        return False
    state[RECORDED_KEY] = trace_id
    return True


def passed_through(exception: BaseException, function: Any) -> bool:
    """Return True if the traceback of an exception has a frame of a function, coroutine function or method."""
    code = getattr(function, "__code__", None)
    return any(frame.f_code is code for frame, _ in traceback.walk_tb(exception.__traceback__))


def unwrap_group(exception: BaseException) -> BaseException:
    """Return the only exception of an exception group, also of nested groups; else return the argument.

    Current Starlette unwraps the groups of its task groups. The version that FastAPI 0.115 needs does not.
    """
    for _ in range(_DEEPEST_GROUP):
        if not issubclass(type(exception), BaseExceptionGroup) or len(exception.exceptions) != 1:  # type: ignore[attr-defined] # a group has them
            break
        exception = exception.exceptions[0]  # type: ignore[attr-defined] # a group has them
    return exception


def _truncated(text: str) -> str:
    return text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "…"


def exception_attributes(exception: BaseException, *, escaped: bool = False) -> dict[str, Any]:
    """Return the attributes that OpenTelemetry's exception conventions define.

    ``escaped`` is true if the exception left the span's block.
    """
    # Each line is truncated: a long message must not displace the frames.
    stack = attempt_silently(
        lambda: "".join([_truncated(line) for line in _formatted(exception)]),
        default="<no stack trace: the exception cannot be formatted>",
    )
    if len(stack) > STACKTRACE_LIMIT:
        stack = "…" + stack[1 - STACKTRACE_LIMIT :]
    return {
        "exception.type": type_name(exception),
        "exception.message": message(exception),
        "exception.stacktrace": stack,
        "exception.escaped": text_of(escaped),
    }


def _formatted(exception: BaseException) -> list[str]:
    """Return the formatted exception. Linked exceptions are omitted if there are too many to format quickly."""
    # A negative limit selects the last frames, where the exception was raised.
    if _has_few_linked(exception):
        return traceback.format_exception(type(exception), exception, exception.__traceback__, -_FRAMES_LIMIT)
    return [
        f"(more than {_LINKED_LIMIT} linked exceptions are left out)\n",
        *traceback.format_tb(exception.__traceback__, -_FRAMES_LIMIT),
        f"{type_name(exception)}: {message(exception)}\n",
    ]


def _has_few_linked(exception: BaseException) -> bool:
    seen: set[int] = set()
    linked: list[BaseException | None] = [exception]
    while linked:
        current = linked.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if len(seen) > _LINKED_LIMIT:
            return False
        linked += (current.__cause__, current.__context__)
        if isinstance(current, BaseExceptionGroup):
            members = current.exceptions[: _LINKED_LIMIT + 1]
            if any(id(member) in seen for member in members):
                return False  # a group that contains itself
            linked += members
    return True


def record_error(
    span: Any, error: BaseException, event: bool, status: bool, *, escaped: bool = False
) -> None:
    """Record the exception that left a span's block, as event and as status ERROR, in the same form as the SDK."""
    if event:
        span.record_exception(error, escaped=escaped)
    if status:
        span.set_status(Status(StatusCode.ERROR, f"{class_name(type(error))}: {message(error)}"))
