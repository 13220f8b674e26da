"""A request's context stays out of what a server starts while it runs ``receive`` or ``send``.

asyncio copies the context variables of whoever resumes reading or creates a task. uvicorn resumes reading
inside ``receive`` and after the last byte, and begins a pipelined request inside ``send``: each later request
of the connection then starts with the variables of an earlier one (uvicorn issue 2167).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from eco2_tracing._context import otel_context, reset
from eco2_tracing.logs._request import Request, server_call
from eco2_tracing.logs._request import current as current_request
from eco2_tracing.propagation._inbound import SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

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
    token = otel_context.set(base)
    # An outer instrumentation puts its own values into the context of each request.
    call = server_call.set((base, current_request.get())) if base else None
    outside = current_request.set(_outside(bound))
    try:
        return await receive()
    finally:
        reset(outside)
        if call is not None:
            reset(call)
        reset(token)


def _outside(bound: RequestToken) -> Request | None:
    """Return what the log lines around this request share, unless an earlier request left it there."""
    former = bound.old_value
    if not isinstance(former, Request):
        return None
    call = server_call.get()
    return None if call is not None and call[1] is former else former


def send_isolated(send: Send, request: Request, message: Message) -> Awaitable[None]:
    """Send a message; the last one of a response as ``send_last`` does.

    Args:
        send: The server's.
        request: What the log lines of this request share.
        message: The ASGI message.
    """
    if message["type"] == "http.response.start" or message.get("more_body"):
        return send(message)
    return send_last(send, request, message)


async def send_last(send: Send, request: Request, message: Message) -> None:
    """Send the last message of a response.

    The request's own context stays in force, because servers write their access lines here. What the server
    begins here inherits that context and, in ``server_call``, the knowledge of whose it is.

    Args:
        send: The server's.
        request: What the log lines of this request share.
        message: The ASGI message.
    """
    token = server_call.set((otel_context.get(), request))
    try:
        await send(message)
    finally:
        request.is_sent = True
        try:
            server_call.reset(token)
        except ValueError:  # abandoned: closed in another context
            pass


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


def startup_context(scope: dict[str, Any]) -> Context | None:
    """Return the context in which a server begins a lifespan, or ``None`` if it is empty.

    Its values were set for the process, not for a request. A lifespan without ``asgi`` in its scope is not a
    server's: test clients leave it out, and call the application in the context of the test.

    Args:
        scope: The scope of the lifespan.
    """
    return (otel_context.get() or None) if "asgi" in scope else None


def without_leftovers(base: Context, startup: Context | None) -> Context:
    """Take out of a context what was not put there for the request that begins.

    Args:
        base: The context around the request.
        startup: The context in which the server began the lifespan, if it did.

    Returns:
        ``base`` itself where all of it belongs to this request: what a surrounding application set, or
        the code that calls the application in this process.
    """
    call = server_call.get()
    if call is not None:
        base = _without(base, call[0])
    return base if startup is None else _without(base, startup)


def _without(base: Context, former: Context) -> Context:
    own = {name: value for name, value in base.items() if former.get(name, base) is not value}
    if SPAN_KEY in own and _continues(own[SPAN_KEY], former.get(SPAN_KEY)):
        del own[SPAN_KEY]
    return base if len(own) == len(base) else Context(own)


def _continues(span: Any, former: Any) -> bool:
    """Return whether an outer instrumentation took a span that was left over for the parent of this request."""
    if former is None or getattr(span, "kind", None) is SpanKind.SERVER:
        return False
    return bool(span.get_span_context().trace_id == former.get_span_context().trace_id)
