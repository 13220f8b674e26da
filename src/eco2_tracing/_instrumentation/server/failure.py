"""Which responses and exceptions are failures of the application, on the span of a request."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Status, StatusCode

from eco2_tracing._spans.exceptions import came_through, message, unwrapped
from eco2_tracing._spans.peer import (
    is_for_nobody,
    is_malformed_request,
    is_of_background_task,
    is_peer_end,
)
from eco2_tracing._spans.sanitize import name_of, qualname_of

if TYPE_CHECKING:
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

SERVER_ERROR = 500


def server_error(span: Any, local: LocalTrace) -> None:
    """A response of 500 or above begins: keep the local trace, unless the peer caused it.

    Args:
        span: The ``ServerSpan`` of the request, whose module uses this one.
        local: Its local trace.
    """
    if is_for_nobody(span._send, span._peer):
        span._status_code = None
    elif span._engine.trust_inbound or not is_malformed_request(sys.exc_info()[1]):
        local.keep("error")


def exception_left(span: Any, exception: BaseException) -> None:
    """An exception left the application: mark the span, and keep the local trace.

    Cancellation and what the peer caused are no failures. A background task's exception stands on the
    task's own span. A malformed request of a caller that is not trusted keeps nothing that was not chosen.

    Args:
        span: The ``ServerSpan`` of the request, whose module uses this one.
        exception: What was raised.
    """
    exception = unwrapped(exception)
    if not issubclass(type(exception), Exception):
        return
    if is_peer_end(exception, span._send, span._peer):
        if "_eco2_local" in span.__dict__:
            span._eco2_local.stream = True  # how long it took was the peer's choice: it is never slow
        return
    status, local = span._status_code, span._eco2_local
    # What came from the last ``send`` came before the end, where that was taken for said and done.
    complete = span._final_time is not None and not came_through(exception, span._send)
    if complete and is_of_background_task(exception):
        local.keep("error")
        return
    forced = not span._engine.trust_inbound and is_malformed_request(exception)
    is_exported = local.sampled if forced else local.keep("error")
    if not is_exported or span._end_time is not None:
        return
    span._error_type = qualname_of(type(exception))  # with itself, its frames would be kept
    span.record_exception(exception, timestamp=span._final_time or span._now())
    if not complete or status is None or status < SERVER_ERROR:
        span._status = Status(StatusCode.ERROR, f"{name_of(type(exception))}: {message(exception)}")
