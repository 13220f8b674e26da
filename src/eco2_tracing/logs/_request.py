"""Fields of the current request or task."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from time import perf_counter_ns
from typing import Any

from opentelemetry.context import Context

from eco2_tracing._context import otel_context


class Request:
    """What one request's lines share, also those of its threads and tasks.

    A class to inherit from, too: what a request has anyway can be this without another object.

    Attributes:
        fields: What was bound, or ``None``; changed in place within a request.
        is_request: Whether there is a request, rather than a task or thread outside any.
        scope: The ASGI scope, where the middleware gave it.
        routed: The scope that the router got, where the application has middleware.
        started: `perf_counter_ns` at the begin, 0 without a scope.
        revision: Counts the changes of the fields.
        bound: The fields as they were last captured.
        is_sent: Whether the last message of the response has been sent.
    """

    fields: dict[str, object] | None = None
    is_request = True
    revision = 0
    bound: BoundFields | None = None
    scope: Mapping[str, Any] | None = None
    routed: Mapping[str, Any] | None = None
    started = 0
    is_sent = False


class BoundFields:
    """The bound fields of one moment: later calls of `bind_log_fields` do not change them.

    Args:
        fields: A copy that nobody else has.
        revision: The request's revision when they were copied.

    Attributes:
        written: The fields as the formatter wrote them, and with which redactor.
    """

    __slots__ = ("fields", "revision", "written")

    def __init__(self, fields: dict[str, object], revision: int) -> None:
        self.fields = fields
        self.revision = revision
        self.written: tuple[object, str] = (None, "")


def bound_fields(request: Request, fields: dict[str, object]) -> BoundFields:
    """Return a request's fields as they are now; the same object until they change.

    Args:
        request: Any.
        fields: Its fields.
    """
    bound = request.bound
    revision = request.revision  # read first: what another thread binds meanwhile is copied again
    if bound is None or bound.revision != revision:
        bound = request.bound = BoundFields(dict(fields), revision)
    return bound


current: ContextVar[Request | None] = ContextVar("eco2_tracing_log_fields", default=None)

server_call: ContextVar[Request | None] = ContextVar("eco2_tracing_server_call", default=None)
"""The request in whose ``receive`` or ``send`` the server runs; what the server starts there inherits it."""

LENT = "eco2_tracing_lent"
"""Key of the context that is lent to the server for one of these calls; the value is the request's own context."""


def lend(context: Context) -> Context:
    """Return a copy of a request's context in which a server may run; to be emptied after the call.

    Args:
        context: The request's.
    """
    return Context(context, eco2_tracing_lent=context)  # as a keyword: one dictionary less for each request


RequestToken = Token[Request | None]

enter_request = current.set
"""Begin a request that is one by inheritance; returns what `end_request` takes."""


def begin_request(scope: Mapping[str, Any] | None = None) -> RequestToken:
    """Begin a request: what is bound from here on stays with it, wherever it is bound.

    A thread or task started within it shares the fields, so that what a dependency or a
    synchronous endpoint binds in the thread pool reaches the access line too.

    Args:
        scope: The ASGI scope. With it, access lines get `user_agent.original` and `event.duration`.

    Returns:
        What `end_request` takes.
    """
    request = Request()
    if scope is not None:
        request.scope = scope
        request.started = perf_counter_ns()
    return current.set(request)


def end_request(token: RequestToken) -> None:
    """End a request; what outlives it keeps its fields.

    Args:
        token: What `begin_request` returned.
    """
    try:
        current.reset(token)
    except ValueError:  # ended in another context than it began in, as a closed generator is
        current.set(None)


def own_request() -> Request | None:
    """Return what the lines of the current request share; ``None`` for what an earlier request left behind."""
    request = current.get()
    return None if request is not None and request.is_sent and server_call.get() is request else request


def has_left_over_ids() -> bool:
    """Return whether the current span is that of an earlier request, which the server's context still has.

    True for the server's own lines after a response, as about the next request that it cannot parse.
    """
    request = server_call.get()
    # Some servers write the access line while the last message is sent: those ids are right.
    return request is not None and request.is_sent and LENT in otel_context.get()


def bind_log_fields(**fields: object) -> None:
    """Put fields on every later line of the current request, or else of the current task or thread.

    `user_id` becomes `user.id`, dotted names stay as they are, other names go to `labels`. A line's
    own `extra` wins over them, and ``None`` takes a field off. Secrets are masked by name and by what they look like.

    Args:
        fields: By name; dotted ones as ``bind_log_fields(**{"order.id": 7})``.
    """
    request = own_request()
    if request is not None and request.is_request:
        # One dictionary, whichever thread binds first.
        request.__dict__.setdefault("fields", {}).update(fields)
        request.revision += 1
        return
    # Outside a request the context alone is meant: tasks started before must not see it.
    bound = dict(request.fields) if request is not None and request.fields else {}
    bound.update(fields)
    outside = Request()
    outside.fields, outside.is_request = bound, False
    current.set(outside)
