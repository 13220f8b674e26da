"""The `error.*` fields."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from eco2_tracing._redaction import LONGEST_TEXT, Budget, Redactor, cut, printable
from eco2_tracing.logs._plain import LONGEST_LINE, repaired

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

TRACE_IDS = "__eco2_trace_ids__"
"""Attribute of an exception: trace and span id of the request that it ended.

A server logs the traceback after the request's context is gone.
"""

LONGEST_NAME = 1024
"""Characters of a class's name that are kept."""

_LONGEST_MESSAGE = 8 * 1024
_SHORTEST_TRACE = 4 * 1024  # kept also where the message took what a line may hold
_FRAME = '\n  File "'


def raised(exc_info: object) -> ExcInfo | None:
    """Return what a record or event has as `exc_info` in the form that `sys.exc_info` gives it."""
    if isinstance(exc_info, BaseException):
        return (type(exc_info), exc_info, exc_info.__traceback__)
    if isinstance(exc_info, tuple) and len(exc_info) == 3 and isinstance(exc_info[1], BaseException):
        return (type(exc_info[1]), exc_info[1], exc_info[2])
    return None


def ids_of(error: BaseException) -> tuple[int, int] | None:
    """Return the trace and span id kept on an exception."""
    ids = getattr(error, TRACE_IDS, None)
    if isinstance(ids, tuple) and len(ids) == 2 and type(ids[0]) is int and type(ids[1]) is int:
        return ids
    return None


def error_fields(
    exc_info: ExcInfo | None,
    other_trace: str | None,
    stack: str | None,
    format_exception: Callable[[ExcInfo], str],
    redactor: Redactor,
    budget: Budget | None = None,
) -> dict[str, object]:
    """Describe an exception, a stack, or both.

    Args:
        exc_info: The exception.
        other_trace: A traceback as text, where there is no exception.
        stack: Of the log call (`stack_info`); it follows the traceback.
        format_exception: Writes the traceback.
        redactor: Masks secrets in message and traceback, source lines included.
        budget: How many characters of the line are left.
    """
    budget = budget or Budget(LONGEST_LINE)
    fields: dict[str, object] = {}
    trace = other_trace
    if exc_info is not None:
        try:
            trace = format_exception(exc_info)
        except BaseException:  # noqa: BLE001 - `__notes__` and the like are the application's
            trace = None
        fields["error.type"] = type_name(exc_info[0])
        message = budget.text(printable(exc_info[1]), _LONGEST_MESSAGE)
        fields["error.message"] = repaired(redactor.text(message, budget))
    traces = [_trace(each, redactor, budget) for each in (trace, stack) if each]
    if traces:
        fields["error.stack_trace"] = "\n".join(traces)
    return fields


def type_name(kind: type[BaseException]) -> str:
    """Name an exception's class as `error.type` of its span does."""
    try:
        module = kind.__module__
        name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    except BaseException:  # noqa: BLE001 - a class may say anything of itself
        name = "Exception"
    return cut(repaired(name), LONGEST_NAME)


def _trace(trace: str, redactor: Redactor, budget: Budget) -> str:
    """Cut a traceback in its middle, at the begin of a frame: a secret is not cut in two."""
    limit = max(min(LONGEST_TEXT, budget.left), _SHORTEST_TRACE)
    budget.left -= min(len(trace), limit)
    if len(trace) <= limit:
        return repaired(redactor.text(trace, budget))
    head_length = limit // 4
    head = repaired(redactor.text(cut(trace, head_length), budget))
    begin = trace.find(_FRAME, len(trace) - (limit - head_length))
    return head if begin < 0 else head + repaired(redactor.text(trace[begin:], budget))
