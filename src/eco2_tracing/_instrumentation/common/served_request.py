"""Serves one request, traced or not, and calls the application's ``server_request_hook``."""

from __future__ import annotations

import inspect
from contextvars import copy_context
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext

from eco2_tracing._context import otel_context
from eco2_tracing._guard import internal_failure, warn_once
from eco2_tracing._instrumentation.common.isolation import keeps_context, receive_outside, run_in
from eco2_tracing.logs._exceptions import TRACE_IDS
from eco2_tracing.logs._request import (
    RequestState,
    current_request,
    enter_request,
    server_call,
    server_context,
)
from eco2_tracing.propagation._inbound import FLAGS, NO_STATE

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from eco2_tracing._instrumentation.common.http_attributes import (
        ASGIApp,
        Hook,
        Message,
        Receive,
        Scope,
        Send,
    )
    from eco2_tracing._spans.tracer import SpanFactory
    from eco2_tracing.propagation import Inbound


class ServedRequest(RequestState):
    """A request or WebSocket connection without a span of ours: excluded, disabled, suppressed or traced elsewhere.

    Attributes:
        response_end: `perf_counter_ns` when the response was complete, 0 before.
        server_context: The context variables of the server, if the last message is to be sent in them.
    """

    response_end = 0
    server_context: contextvars.Context | None = None
    _trace_id_header: tuple[bytes, bytes] | None = None
    _status_code: int | None = None  # stored by the subclasses that need it

    def __init__(self, scope: Scope, send: Send, trace_id_header: tuple[bytes, bytes] | None = None) -> None:
        self.scope = scope
        self.started = perf_counter_ns()
        self._send = send
        self._trace_id_header = trace_id_header

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application, in place of the server's ``send``."""
        if message["type"] == "http.response.start":
            if self._trace_id_header is not None:
                headers = [*message.get("headers", ()), self._trace_id_header]
                message = {**message, "headers": headers}
        elif not message.get("more_body"):
            return self.send_last(message)
        return self._send(message)

    async def send_last(self, message: Message) -> None:
        """Send the last message of a response.

        A server that keeps its context for later runs in its own one. With other servers the ids of the request stay
        current, because they may write the access log line now. A request that such a server begins now inherits
        ``server_call``, which identifies the ids as those of this request.
        """
        outer = self.server_context
        if outer is not None:
            try:
                await run_in(outer, self._send(message))
                self.response_end = perf_counter_ns()
            finally:
                self.is_response_sent = True
            return
        server_copy = server_context(otel_context.get())
        token = otel_context.set(server_copy)
        call_token = server_call.set(self)
        try:
            await self._send(message)
            self.response_end = perf_counter_ns()
        finally:
            self.is_response_sent = True
            try:
                server_call.reset(call_token)
                otel_context.reset(token)
            except ValueError:  # the coroutine was abandoned and is closed in another context
                pass
            dict.clear(server_copy)

    def failed(self, exception: BaseException) -> None:
        """Record an exception that the application raised. Does nothing without a span."""

    def close(self) -> None:
        """Record that the application has returned or raised. Does nothing without a span."""


async def serve(
    app: ASGIApp, request: ServedRequest, scope: Scope, receive: Receive, base: Context, context: Context
) -> None:
    """Serve one request with its own context and log fields."""
    if not base and keeps_context(request._send):
        request.server_context = copy_context()
    bound = enter_request(request)
    token = otel_context.set(context)
    try:
        await app(scope, partial(receive_outside, receive, base, bound), request.send)
    except BaseException as exception:
        request.failed(exception)
        raise
    finally:
        try:
            otel_context.reset(token)
            current_request.reset(bound)
        except ValueError:  # the coroutine was abandoned and is closed in another context
            pass
        request.close()


def store_ids(exception: BaseException, trace_id: int, span_id: int) -> None:
    """Store the ids on an exception: the server logs it after the context has been reset."""
    # Frozen exception classes refuse ``setattr``.
    exception.__dict__[TRACE_IDS] = (trace_id, span_id)


def trace_id_header(name: bytes | None, trace_id: int) -> tuple[bytes, bytes] | None:
    """Return the response header that carries a trace id.

    Args:
        name: The name of the header; ``None`` if it is not configured.
        trace_id: The trace id, or 0.
    """
    return (name, b"%032x" % trace_id) if name is not None and trace_id else None


NOT_AWAITED = "is not awaited: pass a plain function, not an async one"


def call_hook(hook: Hook, span: Span, scope: Scope) -> None:
    """Call a hook. A coroutine that it returns is reported and not awaited."""
    try:
        returned: object = hook(span, scope)  # type: ignore[func-returns-value] # an async hook returns a coroutine
        if inspect.iscoroutine(returned):
            returned.close()
            warn_once("server_request_hook:async", "server_request_hook %s", NOT_AWAITED)
    except Exception as exception:  # noqa: BLE001 - the hook may raise anything; the request continues
        internal_failure("the server_request_hook")
        span.record_exception(exception)


def unsampled_context(factory: SpanFactory, inbound: Inbound) -> SpanContext:
    """Return the context of a new span, not sampled, in the trace of an upstream that sent ids."""
    state = inbound.trace_state
    return SpanContext(
        inbound.trace_id,
        factory.new_span_id(),
        False,
        FLAGS[inbound.random],
        NO_STATE if state is None else state,
    )
