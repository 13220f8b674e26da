"""The ids and bound fields of a log call, kept with its record.

A record may be formatted later, by another thread, task or process: behind a queue, from a buffer, from a socket.
The context there is that of other work. Therefore a record factory captures the context when it makes a record.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING

from opentelemetry.trace import INVALID_SPAN, SpanContext, get_current_span

from eco2_tracing.logs._access import ACCESS
from eco2_tracing.logs._fields import add_fields
from eco2_tracing.logs._request import (
    BoundFields,
    RequestState,
    active_request,
    bound_fields,
    current_request,
    has_stale_ids,
    server_call,
)
from eco2_tracing.logs._shared import shared

if TYPE_CHECKING:
    from eco2_tracing.logs._exceptions import Ids

PORTABLE = "_eco2_context"
"""Attribute of a record with its context: plain values on a pickled one, a `LogContext` on one of another class."""

_MOST_FRAMES = 40
_TRACE_ID = re.compile("(?!0{32})[0-9a-f]{32}")
_SPAN_ID = re.compile("(?!0{16})[0-9a-f]{16}")


def ids_fragment(ids: Ids | None) -> str:
    """Format ids as the continuation of a JSON object."""
    return "" if ids is None else f',"trace.id":"{ids[0]}","span.id":"{ids[1]}"'


class LogContext:
    """The ids of a log call, its bound fields, and the request of an access line.

    The ids are those of a span context, if one is given. It is immutable, because records share it.
    """

    __slots__ = ("bound", "fragment", "ids", "request", "span_context")

    def __init__(
        self,
        ids: Ids | None = None,
        bound: BoundFields | None = None,
        span_context: SpanContext | None = None,
        request: RequestState | None = None,
    ) -> None:
        if span_context is not None and span_context.is_valid:
            trace_id = span_context.trace_id.to_bytes(16, "big")
            ids = (trace_id.hex(), span_context.span_id.to_bytes(8, "big").hex())
        self.ids = ids
        self.fragment = ids_fragment(ids)  # as the formatter writes them
        self.bound = bound
        self.span_context = span_context
        self.request = request

    def portable(self) -> tuple[str, str, dict[str, object]]:
        """Return ids and masked fields in types that any process can unpickle."""
        fields: dict[str, object] = {}
        if self.bound is not None:
            add_fields(fields, self.bound.fields, shared.redactor)
        trace_id, span_id = self.ids or ("", "")
        return trace_id, span_id, fields

    def __reduce__(self) -> tuple[type, tuple[tuple[str, str, dict[str, object]]]]:
        """Pickle as a tuple: the process that unpickles it may not have this package."""
        return tuple, (self.portable(),)


NO_CONTEXT = LogContext()
"""The context of a log call outside of spans and without bound fields."""

UNKNOWN_CONTEXT = LogContext()
"""The context of a record whose log call is not known."""


def capture_context(logger: object, last: LogContext = NO_CONTEXT) -> LogContext:
    """Return the current context for a logger; ``last``, the one captured before, if span and fields are the same."""
    try:
        span = get_current_span()
        context = None if span is INVALID_SPAN else span.get_span_context()
    except Exception:  # noqa: BLE001 - spans of other packages; a `try` is free where lines of a request pass
        context = None
    request = current_request.get()
    if server_call.get() is not None:  # rare: not worth two calls for every line
        context, request = None if has_stale_ids() else context, active_request()
    bound = None
    if request is not None:
        if request.fields:
            bound = bound_fields(request, request.fields)
        if logger in ACCESS:
            return LogContext(None, bound, context, request)
    if context is None and bound is None:
        return NO_CONTEXT
    if last.span_context is context and last.bound is bound:
        return last
    return LogContext(None, bound, context)


def context_of(record: logging.LogRecord) -> LogContext:
    """Return the context of the log call that made a record, in whichever thread or process."""
    attributes = record.__dict__
    if type(attributes.get("extra")) is dict and str(record.threadName).startswith("loguru-"):
        return UNKNOWN_CONTEXT  # made after the log call, by the thread of a sink with `enqueue=True`
    captured: LogContext | None = getattr(record, "eco2_context", None)
    if captured is not None:
        return captured
    made: tuple[float, LogContext] | None = getattr(record, "eco2_made", None)
    if made is not None and made[0] is record.created:
        return made[1]
    carried = attributes.get(PORTABLE)
    if carried is not None:
        return carried if type(carried) is LogContext else _unpickled(carried)
    return capture_context(record.name) if is_in_call(record) else UNKNOWN_CONTEXT


def ids_on(record: logging.LogRecord, context: LogContext) -> Ids | None:
    """Return the ids that other packages set on a record. Those of `TraceContextFilter` if its context is unknown."""
    attributes = record.__dict__
    ids = _ids(attributes, "otelTraceID", "otelSpanID")  # of opentelemetry-instrumentation-logging
    if ids is None and type(extra := attributes.get("extra")) is dict:  # of loguru
        ids = _ids(extra, "otelTraceID", "otelSpanID")
    if ids is None and context is UNKNOWN_CONTEXT:
        ids = _ids(attributes, "trace_id", "span_id")
    return ids


def is_in_call(record: logging.LogRecord) -> bool:
    """Return True if the log call that made this record, or the one that it copies, is on the stack.

    Needed for records that were not made by our factory: another one replaced it, or the logger makes its own.
    """
    for frame in outer_frames(_MOST_FRAMES):
        if frame.f_code.co_name == "_log":  # a method of `logging.Logger`, or of a class that replaces it
            return getattr(frame.f_locals.get("record"), "created", None) is record.created
    return False


def outer_frames(most: int) -> Iterator[FrameType]:
    """Yield the frames around the caller, from the inside, as far as this Python has them."""
    frame = sys._getframe(2) if hasattr(sys, "_getframe") else None
    while frame is not None and most > 0:
        yield frame
        frame = frame.f_back
        most -= 1


def _unpickled(carried: object) -> LogContext:
    """Return the context for the values of `LogContext.portable`."""
    if not isinstance(carried, tuple | list) or len(carried) != 3:
        return UNKNOWN_CONTEXT
    trace_id, span_id, fields = carried
    bound = BoundFields(dict(fields), 0) if isinstance(fields, Mapping) and fields else None
    return LogContext(_ids({"trace": trace_id, "span": span_id}, "trace", "span"), bound)


def _ids(source: Mapping[str, object], trace_name: str, span_name: str) -> Ids | None:
    """Return the ids of these names, if they are valid: "0" and zeros are not."""
    trace_id, span_id = source.get(trace_name), source.get(span_name)
    if type(trace_id) is str and type(span_id) is str:
        return (trace_id, span_id) if _TRACE_ID.fullmatch(trace_id) and _SPAN_ID.fullmatch(span_id) else None
    return None
