"""A request's context stays out of what a server starts while it runs ``receive`` or ``send``.

asyncio copies the context variables of whoever resumes reading or creates a task. uvicorn resumes reading
inside ``receive`` and after the last byte, and begins a pipelined request inside ``send``: each later request
of the connection then starts with the variables of an earlier one (uvicorn issue 2167).

So the server runs in a copy of OpenTelemetry's context that is emptied afterwards: what inherited it finds nothing in
it. An instrumentation around the application may have made a copy of its own. That one has the key
``REQUEST_CONTEXT_KEY``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from eco2_tracing._context import otel_context, reset
from eco2_tracing._instrumentation.common.serving import served_in, serving
from eco2_tracing.logs._request import (
    REQUEST_CONTEXT_KEY,
    RequestState,
    current_request,
    server_call,
    server_context,
)
from eco2_tracing.propagation._inbound import BAGGAGE_KEY, SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eco2_tracing._instrumentation.common.asgi import Message, Receive, Scope
    from eco2_tracing.logs._request import RequestToken


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


def startup_context(scope: Scope) -> Context | None:
    """Return the context in which a server begins a lifespan, or ``None`` if it is empty.

    Its values were set for the process, not for a request. A lifespan without ``asgi`` in its scope is not a
    server's: test clients leave it out, and call the application in the context of the test.

    Args:
        scope: The scope of the lifespan.
    """
    return (otel_context.get() or None) if "asgi" in scope else None


def without_leftovers(base: Context, startup: Context | None, scope: Scope) -> Context:
    """Take out of a context what was not put there for the request that begins.

    Args:
        base: The context around the request.
        startup: The context in which the server began the lifespan, if it did.
        scope: The ASGI scope of the request.

    Returns:
        ``base`` itself where all of it belongs to this request: what a surrounding application set, or
        the code that calls the application in this process.
    """
    former = base.get(REQUEST_CONTEXT_KEY)
    if isinstance(former, dict):
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
