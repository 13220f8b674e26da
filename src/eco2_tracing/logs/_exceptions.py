"""The `error.*` fields of a line."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from eco2_tracing._guard import attempt_silently
from eco2_tracing._redaction import LONGEST_TEXT, Budget, Redactor, printable, truncate
from eco2_tracing.logs._json import LONGEST_LINE, escape_surrogates

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Ids = tuple[str, str]
"""Trace id and span id as hexadecimal digits."""

TRACE_IDS = "__eco2_trace_ids__"
"""Attribute of an exception: trace id and span id of the request that it ended.

A server logs the exception after the context of the request is gone.
"""

LONGEST_NAME = 1024
"""Limit of a class's name, in characters."""

_LONGEST_MESSAGE = 8 * 1024
_SHORTEST_TRACE = 4 * 1024  # kept even if the message has used up the limit of the line
_FRAME = '\n  File "'


def exc_info_of(value: object) -> ExcInfo | None:
    """Return the `exc_info` of a record or event in the form of `sys.exc_info`; ``None`` if it has no exception."""
    if isinstance(value, BaseException):
        return (type(value), value, value.__traceback__)
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[1], BaseException):
        return (type(value[1]), value[1], value[2])
    return None


def ids_of(error: BaseException) -> Ids | None:
    """Return the ids of the request that an exception ended, if it has them."""
    ids = getattr(error, TRACE_IDS, None)
    if isinstance(ids, tuple) and len(ids) == 2 and type(ids[0]) is int and type(ids[1]) is int:
        return f"{ids[0]:032x}", f"{ids[1]:016x}"
    return None


def error_fields(
    exc_info: ExcInfo | None,
    other_trace: str | None,
    stack: str | None,
    format_exception: Callable[[ExcInfo], str],
    redactor: Redactor,
    budget: Budget | None = None,
) -> dict[str, object]:
    """Return the masked fields of an exception, of a stack, or of both.

    ``other_trace`` is a traceback as text, used without an exception. The stack of the log call (`stack_info`) follows
    the traceback. The budget is the number of characters left for the line.
    """
    budget = budget or Budget(LONGEST_LINE)
    fields: dict[str, object] = {}
    trace = other_trace
    if exc_info is not None:
        # `__notes__` and the like are the application's objects.
        trace = attempt_silently(format_exception, exc_info, default="")
        fields["error.type"] = type_name(exc_info[0])
        message = budget.text(printable(exc_info[1]), _LONGEST_MESSAGE)
        fields["error.message"] = escape_surrogates(redactor.text(message, budget))
    traces = [_masked_trace(each, redactor, budget) for each in (trace, stack) if each]
    if traces:
        fields["error.stack_trace"] = "\n".join(traces)
    return fields


def type_name(kind: type[BaseException]) -> str:
    """Return the name of an exception's class as in `error.type` of its span."""
    name = attempt_silently(_qualified_name, kind, default="Exception")
    return truncate(escape_surrogates(name), LONGEST_NAME)


def _qualified_name(kind: type[BaseException]) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _masked_trace(trace: str, redactor: Redactor, budget: Budget) -> str:
    """Mask a traceback. A long one loses its middle at the begin of a frame, so that no secret is split."""
    limit = max(min(LONGEST_TEXT, budget.left), _SHORTEST_TRACE)
    budget.left -= min(len(trace), limit)
    if len(trace) <= limit:
        return escape_surrogates(redactor.text(trace, budget))
    head_length = limit // 4
    head = escape_surrogates(redactor.text(truncate(trace, head_length), budget))
    begin = trace.find(_FRAME, len(trace) - (limit - head_length))
    return head if begin < 0 else head + escape_surrogates(redactor.text(trace[begin:], budget))
