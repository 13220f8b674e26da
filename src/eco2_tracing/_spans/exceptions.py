"""An exception as span attributes, bounded and safe from the exception's own methods."""

from __future__ import annotations

import traceback
from typing import Any

from opentelemetry.trace import Status, StatusCode

from eco2_tracing._guard import attempt_silently
from eco2_tracing._redaction import LONGEST_TEXT
from eco2_tracing._spans.sanitize import class_name, class_qualname, text_of

MESSAGE_LIMIT = 4096
"""Characters of an exception's message that are kept."""

STACKTRACE_LIMIT = LONGEST_TEXT
"""Characters of a stack trace that are kept: its end, where the exception was raised."""

RECORDED_KEY = "__eco2_recorded_in__"
"""Where an exception object keeps the id of the trace that already has an event for it."""

_FRAMES_LIMIT = 128
_LINKED_LIMIT = 32
_DEEPEST_GROUP = 100


def type_name(exception: BaseException) -> str:
    """The exception's class as the semantic conventions write it: with its module, but for built-ins."""
    kind = type(exception)
    name = class_qualname(kind)
    module = attempt_silently(getattr, kind, "__module__", default=None)
    return f"{module}.{name}" if type(module) is str and module != "builtins" else name


def message(exception: BaseException) -> str:
    """The exception's message, cut at ``MESSAGE_LIMIT``; a fallback where ``__str__`` raises."""
    if not issubclass(type(exception), BaseException):
        return _truncated(text_of(exception))  # whatever it is, somebody recorded it
    return _truncated(
        attempt_silently(lambda: str.__str__(str(exception)), default="<exception str() failed>")
    )


def mark_recorded(exception: BaseException, trace_id: int) -> bool:
    """Whether no manual or client span of the trace has an event for the exception yet; from now on one has."""
    known = exception.__dict__  # past __setattr__, which frozen exception classes refuse
    if known.get(RECORDED_KEY) == trace_id:
        return False
    known[RECORDED_KEY] = trace_id
    return True


def passed_through(exception: BaseException, function: Any) -> bool:
    """Whether a function of Python's was on the way that an exception took.

    Args:
        exception: What was raised.
        function: A function, a coroutine function or a method.
    """
    code = getattr(function, "__code__", None)
    return any(frame.f_code is code for frame, _ in traceback.walk_tb(exception.__traceback__))


def unwrap_group(exception: BaseException) -> BaseException:
    """What one task raised, out of the groups that task groups wrap it in.

    Today's Starlette unwraps it like this, that of FastAPI 0.115 does not.
    """
    for _ in range(_DEEPEST_GROUP):
        if not issubclass(type(exception), BaseExceptionGroup) or len(exception.exceptions) != 1:  # type: ignore[attr-defined]
            break
        exception = exception.exceptions[0]  # type: ignore[attr-defined]
    return exception


def _truncated(text: str) -> str:
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
    # A message is one line here, however long: it must not push the frames out.
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
    """Format an exception with those that it is linked to; without, where they are so many that it would take long."""
    # The last frames: where the exception was raised.
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
        found = linked.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        if len(seen) > _LINKED_LIMIT:
            return False
        linked += (found.__cause__, found.__context__)
        if isinstance(found, BaseExceptionGroup):
            members = found.exceptions[: _LINKED_LIMIT + 1]
            if any(id(member) in seen for member in members):
                return False  # one that says that it is in itself
            linked += members
    return True


def record_error(
    span: Any, error: BaseException, event: bool, status: bool, *, escaped: bool = False
) -> None:
    """Record on a span the exception that left its block, in the SDK's words.

    Args:
        span: The span.
        error: The exception.
        event: True to add the ``exception`` event.
        status: True to set the status to ERROR.
        escaped: The event's ``exception.escaped``.
    """
    if event:
        span.record_exception(error, escaped=escaped)
    if status:
        span.set_status(Status(StatusCode.ERROR, f"{class_name(type(error))}: {message(error)}"))
