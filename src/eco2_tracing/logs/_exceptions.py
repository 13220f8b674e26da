"""The `error.*` fields."""

from __future__ import annotations

import logging
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


def raised(record: logging.LogRecord) -> ExcInfo | None:
    """Return the exception of a record, in the form that `sys.exc_info` gives it."""
    exc_info: object = record.exc_info
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
    format_exception: Callable[[ExcInfo], str],
    redactor: Redactor,
    budget: Budget | None = None,
) -> dict[str, object]:
    """Describe an exception, or a stack alone.

    Args:
        exc_info: The exception.
        other_trace: A traceback or stack as text, where there is no exception.
        format_exception: Writes the traceback.
        redactor: Masks secrets in message and traceback, source lines included.
        budget: How many characters of the line are left.
    """
    budget = budget or Budget(LONGEST_LINE)
    if exc_info is None:
        return {"error.stack_trace": _trace(other_trace, redactor, budget)} if other_trace else {}
    try:
        trace = format_exception(exc_info)
    except BaseException:  # noqa: BLE001 - `__notes__` and the like are the application's
        trace = ""
    fields: dict[str, object] = {
        "error.type": type_name(exc_info[0]),
        "error.message": repaired(redactor.text(budget.text(printable(exc_info[1]), _LONGEST_MESSAGE))),
    }
    if trace:
        fields["error.stack_trace"] = _trace(trace, redactor, budget)
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
        return repaired(redactor.text(trace))
    head_length = limit // 4
    head = repaired(redactor.text(cut(trace, head_length)))
    begin = trace.find(_FRAME, len(trace) - (limit - head_length))
    return head if begin < 0 else head + repaired(redactor.text(trace[begin:]))
