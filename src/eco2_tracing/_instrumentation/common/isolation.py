"""A request's context stays out of what a server starts while it runs ``receive`` or ``send``.

asyncio copies the context variables of whoever resumes reading or creates a task. uvicorn resumes reading
inside ``receive`` and after the last byte, and begins a pipelined request inside ``send``: each later request
of the connection then starts with the variables of an earlier one (uvicorn issue 2167).

So the server runs in a copy of OpenTelemetry's context that is emptied afterwards: what inherited it finds nothing in
it. An instrumentation around the application may have made a copy of its own. That one has the key
``REQUEST_CONTEXT_KEY``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from eco2_tracing._context import otel_context, reset
from eco2_tracing._instrumentation.common.serving import served_in, serving
from eco2_tracing.logs._request import (
    REQUEST_CONTEXT_KEY,
    RequestState,
    begin_request,
    current_request,
    end_request,
    server_call,
    server_context,
)
from eco2_tracing.propagation._inbound import BAGGAGE_KEY, SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from eco2_tracing.logs._request import RequestToken

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]


async def receive_outside(receive: Receive, base: Context, bound: RequestToken) -> Message:
    """Receive a message in the context in which the server called the application.

    Args:
        receive: The server's.
        base: The context around the request.
        bound: The token of the log fields of this request.
    """
    lent = server_context(base) if base else base
    token = otel_context.set(lent)
    call = server_call.set(current_request.get()) if base else None
    outside = current_request.set(_outside(bound))
    try:
        return await receive()
    finally:
        reset(outside)
        if call is not None:
            reset(call)
            dict.clear(lent)
        reset(token)


def _outside(bound: RequestToken) -> RequestState | None:
    """Return what the log lines around this request share, unless an earlier request left it there."""
    former = bound.old_value
    if not isinstance(former, RequestState):
        return None
    return None if server_call.get() is former else former


def send_isolated(send: Send, request: RequestState, message: Message) -> Awaitable[None]:
    """Send a message; the last one of a response as ``send_last`` does.

    Args:
        send: The server's.
        request: What the log lines of this request share.
        message: The ASGI message.
    """
    if message["type"] == "http.response.start" or message.get("more_body"):
        return send(message)
    return send_last(send, request, message)


async def send_last(send: Send, request: RequestState, message: Message) -> None:
    """Send the last message of a response.

    The request's own ids stay current, because servers write their access lines here. What the server begins
    here inherits, in ``server_call``, the knowledge of whose they are.

    Args:
        send: The server's.
        request: What the log lines of this request share.
        message: The ASGI message.
    """
    lent = server_context(otel_context.get())
    token = otel_context.set(lent)
    call = server_call.set(request)
    try:
        await send(message)
    finally:
        request.is_response_sent = True
        try:
            server_call.reset(call)
            otel_context.reset(token)
        except ValueError:  # abandoned: closed in another context
            pass
        dict.clear(lent)


def isolated(receive: Receive, send: Send, base: Context, bound: RequestToken) -> tuple[Receive, Send]:
    """Return both for the request that has just begun in the current context.

    Args:
        receive: The server's.
        send: The server's.
        base: The context around the request.
        bound: The token of the log fields of this request.
    """
    request: Any = current_request.get()
    return partial(receive_outside, receive, base, bound), partial(send_isolated, send, request)


async def serve_isolated(
    app: Any, scope: dict[str, Any], receive: Receive, send: Send, base: Context, context: Context
) -> None:
    """Serve one connection without a span of ours, with a context and log fields of its own.

    Args:
        app: The application.
        scope: The ASGI scope.
        receive: The server's.
        send: The server's.
        base: The context around the request.
        context: The context in which the application runs.
    """
    bound = begin_request(scope)
    token = otel_context.set(context)
    receive, send = isolated(receive, send, base, bound)
    try:
        await app(scope, receive, send)
    finally:
        reset(token)
        end_request(bound)


def startup_context(scope: dict[str, Any]) -> Context | None:
    """Return the context in which a server begins a lifespan, or ``None`` if it is empty.

    Its values were set for the process, not for a request. A lifespan without ``asgi`` in its scope is not a
    server's: test clients leave it out, and call the application in the context of the test.

    Args:
        scope: The scope of the lifespan.
    """
    return (otel_context.get() or None) if "asgi" in scope else None


def without_leftovers(base: Context, startup: Context | None, scope: dict[str, Any]) -> Context:
    """Take out of a context what was not put there for the request that begins.

    Args:
        base: The context around the request.
        startup: The context in which the server began the lifespan, if it did.
        scope: The ASGI scope of the request.

    Returns:
        ``base`` itself where all of it belongs to this request: what a surrounding application set, or
        the code that calls the application in this process.
    """
    former: Any = base.get(REQUEST_CONTEXT_KEY)
    if former is not None:
        base = _without(base, former)
    for each in served_in(scope) if serving else ():
        base = _without(base, each)
    if startup is None:
        return base
    if base is startup:
        return Context()
    # A surrounding application may set other values for the start and for each request alike.
    return _without(base, {name: startup[name] for name in (SPAN_KEY, BAGGAGE_KEY) if name in startup})


def _without(base: Context, former: Mapping[str, object]) -> Context:
    own = {
        name: value
        for name, value in base.items()
        if former.get(name, base) is not value and name != REQUEST_CONTEXT_KEY
    }
    if SPAN_KEY in own and _continues(own[SPAN_KEY], former.get(SPAN_KEY)):
        del own[SPAN_KEY]
    return base if len(own) == len(base) else Context(own)


def _continues(span: Any, former: Any) -> bool:
    """Return whether an outer instrumentation took a span that was left over for the parent of this request."""
    if former is None or getattr(span, "kind", None) is SpanKind.SERVER:
        return False
    return bool(span.get_span_context().trace_id == former.get_span_context().trace_id)
