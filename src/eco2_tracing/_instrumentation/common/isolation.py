"""Prevents later requests of a connection from inheriting the context of an earlier one.

asyncio copies the current context variables when reading is resumed and when a task is created. uvicorn resumes
reading inside ``receive`` and after the last byte. It begins a pipelined request inside ``send``. A later request
of the connection then starts with the variables of an earlier one (uvicorn issue 2167).

Therefore the server's ``receive`` and ``send`` run in a copy of OpenTelemetry's context. The copy is emptied
afterwards, so that later requests inherit an empty context. An outer instrumentation may copy it before. Such a copy
is recognized by the key ``REQUEST_CONTEXT_KEY``.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from eco2_tracing._context import otel_context, reset
from eco2_tracing._instrumentation.common.serving import inherited_contexts, server_contexts
from eco2_tracing.logs._request import (
    REQUEST_CONTEXT_KEY,
    RequestState,
    current_request,
    server_call,
    server_context,
)
from eco2_tracing.propagation._inbound import BAGGAGE_KEY, SPAN_KEY

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Generator, Mapping

    from eco2_tracing._instrumentation.common.asgi import Message, Receive, Scope, Send
    from eco2_tracing.logs._request import RequestToken

_UVICORN = "uvicorn.protocols.http."


def keeps_context(send: Send) -> bool:
    """Return whether a server keeps a copy of the context in which it sends the last message of a response.

    uvicorn starts a keep-alive timer then. In the context of the request, the timers of some hundred ended requests
    would hold their objects, and the garbage collector would run often. uvicorn writes its access log line earlier,
    with the first message.

    Args:
        send: The server's ``send``.
    """
    return str(getattr(send, "__module__", "")).startswith(_UVICORN)


@types.coroutine
def run_in(context: contextvars.Context, coroutine: Any) -> Generator[Any, Any, None]:
    """Await a coroutine of the server in other context variables.

    Args:
        context: The context variables.
        coroutine: The coroutine.
    """
    resume, value = coroutine.send, None
    while True:
        try:
            waits_for = context.run(resume, value)
        except StopIteration:
            return
        try:
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001 - passed on to the coroutine
            resume, value = coroutine.throw, error
        else:
            resume = coroutine.send


async def receive_outside(receive: Receive, base: Context, bound: RequestToken) -> Message:
    """Return a received message; the server's ``receive`` runs in the context around the request.

    Args:
        receive: The server's ``receive``.
        base: The context around the request.
        bound: The token of the log fields of this request.
    """
    server_copy = server_context(base) if base else base
    token = otel_context.set(server_copy)
    call_token = server_call.set(current_request.get()) if base else None
    fields_token = current_request.set(_outside(bound))
    try:
        return await receive()
    finally:
        reset(fields_token)
        if call_token is not None:
            reset(call_token)
            dict.clear(server_copy)
        reset(token)


def _outside(bound: RequestToken) -> RequestState | None:
    """Return the log fields around this request; ``None`` if they are those of an earlier request."""
    previous = bound.old_value
    if not isinstance(previous, RequestState):
        return None
    return None if server_call.get() is previous else previous


def startup_context(scope: Scope) -> Context | None:
    """Return the context in which a server begins a lifespan, or ``None`` if it is empty.

    Its values belong to the process, not to a request. A lifespan without ``asgi`` in its scope comes from a test
    client, which calls the application in the context of the test. ``None`` is returned for it.

    Args:
        scope: The scope of the lifespan.
    """
    return (otel_context.get() or None) if "asgi" in scope else None


def without_leftovers(base: Context, startup: Context | None, scope: Scope) -> Context:
    """Return a context without the values of earlier requests and of the server's start.

    Args:
        base: The context around the request.
        startup: The context in which the server began the lifespan; ``None`` if unknown.
        scope: The ASGI scope of the request.

    Returns:
        ``base`` itself if all its values belong to this request. A surrounding application, or code that calls
        the application in this process, may have set them.
    """
    previous = base.get(REQUEST_CONTEXT_KEY)
    if isinstance(previous, dict):
        base = _without(base, previous)
    for each in inherited_contexts(scope) if server_contexts else ():
        base = _without(base, each)
    if startup is None:
        return base
    if base is startup:
        return Context()
    # Other values may be set by a surrounding application, both at the start and for each request.
    return _without(base, {name: startup[name] for name in (SPAN_KEY, BAGGAGE_KEY) if name in startup})


def _without(base: Context, previous: Mapping[str, object]) -> Context:
    kept = {
        name: value
        for name, value in base.items()
        if previous.get(name, base) is not value and name != REQUEST_CONTEXT_KEY
    }
    if SPAN_KEY in kept and _continues(kept[SPAN_KEY], previous.get(SPAN_KEY)):
        del kept[SPAN_KEY]
    return base if len(kept) == len(base) else Context(kept)


def _continues(span: Any, previous: Any) -> bool:
    """Return whether a span is the child of a leftover span that an outer instrumentation used as its parent."""
    if previous is None or getattr(span, "kind", None) is SpanKind.SERVER:
        return False
    return bool(span.get_span_context().trace_id == previous.get_span_context().trace_id)
