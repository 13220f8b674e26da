"""Log fields of the current request or task."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from typing import Any

from opentelemetry.context import Context

from eco2_tracing._context import otel_context


class RequestState:
    """State of one request that all its log lines share, in each of its threads and tasks.

    A span class inherits from it, so that a traced request needs no second object.
    """

    fields: dict[str, object] | None = None  # of `bind_log_fields`; changed in place within a request
    is_request = True  # False for a task or thread outside any request
    revision = 0  # number of changes of `fields`
    bound: BoundFields | None = None  # the copy of `fields` that the last log line took
    scope: Mapping[str, Any] | None = None  # the ASGI scope, if the middleware passed it
    routed: Mapping[str, Any] | None = (
        None  # the one that the router received, if the application has middleware
    )
    started = 0  # `perf_counter_ns` at the begin of the request, 0 without a scope
    is_response_sent = False  # True after the last message of the response


class BoundFields:
    """An immutable copy of the fields of `bind_log_fields`, made at `RequestState.revision`."""

    __slots__ = ("fields", "revision", "written")

    def __init__(self, fields: dict[str, object], revision: int) -> None:
        self.fields = fields
        self.revision = revision
        self.written: tuple[object, str] = (None, "")  # the formatter's redactor, and the JSON that it wrote


def bound_fields(request: RequestState, fields: dict[str, object]) -> BoundFields:
    """Return a copy of a request's fields; the same object until they change."""
    bound = request.bound
    # Read before copying: a field that another thread binds now causes a new copy.
    revision = request.revision
    if bound is None or bound.revision != revision:
        bound = request.bound = BoundFields(dict(fields), revision)
    return bound


current_request: ContextVar[RequestState | None] = ContextVar("eco2_tracing_log_fields", default=None)

server_call: ContextVar[RequestState | None] = ContextVar("eco2_tracing_server_call", default=None)
"""The request whose ASGI ``receive`` or ``send`` is running.

A server may start the next request of a connection there. That request inherits this variable.
"""

REQUEST_CONTEXT_KEY = "eco2_tracing_request_context"
"""Key of a context made by `server_context`. The value is the context of the request."""


def server_context(context: Context) -> Context:
    """Return a copy of a request's context in which the server runs ``receive`` or ``send``.

    The caller clears the copy after the call.
    """
    # As a keyword: this saves one dictionary for each request.
    return Context(context, eco2_tracing_request_context=context)


RequestToken = Token[RequestState | None]

enter_request = current_request.set
"""Begin a request: fields that are bound from now on belong to it, in each of its threads and tasks."""


def active_request() -> RequestState | None:
    """Return the state of the current request; ``None`` if it was left behind by an earlier request."""
    request = current_request.get()
    is_stale = request is not None and request.is_response_sent and server_call.get() is request
    return None if is_stale else request


def has_stale_ids() -> bool:
    """Return True if the current span belongs to an earlier request of the connection.

    So it is for lines that the server logs between two requests, as about a request that it cannot parse.
    """
    request = server_call.get()
    # Before that, in `send`, the ids are right: some servers write the access line there. The key is in copies of the
    # server context that an outer instrumentation made; the server context itself has been cleared.
    return request is not None and request.is_response_sent and REQUEST_CONTEXT_KEY in otel_context.get()


def bind_log_fields(**fields: object) -> None:
    """Add fields to every later log line of the current request.

    Outside a request, the fields belong to the current task or thread. They end with the request. A line's own
    ``extra`` takes precedence. Secrets are masked by name and by form.

    Args:
        **fields: Values by name. ``user_id`` becomes ``user.id``, dotted names stay, and other names go to
            ``labels.<name>``. ``None`` removes a field.

    Examples:
        >>> bind_log_fields(user_id="550e8400", plan="free", **{"order.id": 7})
        >>> bind_log_fields(plan=None)
    """
    request = active_request()
    if request is not None and request.is_request:
        # `setdefault` is atomic: all threads of the request get the same dictionary.
        request.__dict__.setdefault("fields", {}).update(fields)
        request.revision += 1
        return
    # Outside a request, tasks that were started before must not see the fields.
    outside = RequestState()
    former = None if request is None else request.fields
    outside.fields = {**(former or {}), **fields}
    outside.is_request = False
    current_request.set(outside)
