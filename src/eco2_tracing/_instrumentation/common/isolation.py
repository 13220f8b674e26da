"""Prevents later requests of a connection from inheriting the context of an earlier one.

asyncio copies the current context variables when reading is resumed and when a task is created. uvicorn resumes
reading inside ``receive`` and after the last byte. It begins a pipelined request inside ``send``. A later request
of the connection then starts with the variables of an earlier one (uvicorn issue 2167).

Therefore the server's ``receive`` and ``send`` run in a copy of OpenTelemetry's context. The copy is emptied
afterwards, so that later requests inherit an empty context. An outer instrumentation may copy it before. Such a copy
is recognized by the key ``REQUEST_CONTEXT_KEY``.

Every request inherits the context of the server's start. A server without a lifespan does not call the application
at the start. Therefore uvicorn's ``Server.serve`` is patched, which all ways to start uvicorn call.
"""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind
from wrapt import register_post_import_hook

from eco2_tracing._context import otel_context, reset
from eco2_tracing._guard import guarded
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
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from types import ModuleType

    from eco2_tracing._instrumentation.common.http_attributes import Message, ReadScope, Receive, Scope, Send
    from eco2_tracing.logs._request import RequestToken

_UVICORN = "uvicorn.protocols.http."

server_contexts: dict[int, Context] = {}
"""The contexts in which running servers were started, by identity. Empty contexts are not recorded."""

_hooked: list[str] = []


def keeps_context(send: Send) -> bool:
    """Return whether a server keeps a copy of the context in which it sends the last message of a response.

    uvicorn starts a keep-alive timer then. In the context of the request, the timers of some hundred ended requests
    would hold their objects, and the garbage collector would run often. uvicorn writes its access log line earlier,
    with the first message.
    """
    return str(getattr(send, "__module__", "")).startswith(_UVICORN)


@types.coroutine
def run_in(context: contextvars.Context, coroutine: Any) -> Generator[Any, Any, None]:
    """Await a coroutine of the server in other context variables."""
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


def inherited_contexts(scope: ReadScope) -> tuple[Context, ...]:
    """Return the contexts that a request may inherit from its server; none for an in-process call.

    Args:
        scope: The ASGI scope of the request. In-process clients do not set ``spec_version``.
    """
    return tuple(server_contexts.values()) if "spec_version" in scope.get("asgi", ()) else ()


def record_server_contexts() -> None:
    """Patch uvicorn, now or when it is imported, to record the context of its start. Safe to call twice."""
    if not _hooked:
        _hooked.append("uvicorn")
        register_post_import_hook(_patch, "uvicorn.server")


def _patch(module: ModuleType) -> None:
    with guarded("watching uvicorn"):  # other versions of uvicorn may lack the method
        server: Any = module.Server
        server.serve = _with_recorded_context(server.serve)


def _with_recorded_context(original: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    @functools.wraps(original)
    async def serve(self: object, *args: object, **kwargs: object) -> object:
        context = otel_context.get()
        if not context:
            return await original(self, *args, **kwargs)
        server_contexts[id(context)] = context
        try:
            return await original(self, *args, **kwargs)
        finally:
            server_contexts.pop(id(context), None)

    return serve


async def receive_outside(receive: Receive, base: Context, bound: RequestToken) -> Message:
    """Return a received message; the server's ``receive`` runs in the context around the request."""
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
