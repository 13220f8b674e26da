"""The outermost ASGI middleware: one server span a request, at the cost of a few microseconds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context

from eco2_tracing._context import otel_context
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.applications import call_hook
from eco2_tracing._instrumentation.common.captured_headers import make_readable
from eco2_tracing._instrumentation.common.excluded import is_excluded
from eco2_tracing._instrumentation.common.isolation import (
    receive_outside,
    send_isolated,
    serve_isolated,
    startup_context,
    without_leftovers,
)
from eco2_tracing._instrumentation.common.lifespan import lifespan
from eco2_tracing._instrumentation.common.outer import (
    NATIVE,
    STARLETTE,
    OuterInstrumentation,
    discard,
    excluded_context,
    step_aside,
    without_decision,
)
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.common.unconfigured import report_unconfigured
from eco2_tracing._instrumentation.external.requests import external_request
from eco2_tracing._instrumentation.server.begin import begin_server_span
from eco2_tracing._instrumentation.server.request_ids import UnrecordedSpan
from eco2_tracing._instrumentation.server.span import ServerSpan
from eco2_tracing._suppression import is_suppressed
from eco2_tracing.logs._request import current_request, enter_request
from eco2_tracing.propagation._inbound import BAGGAGE_KEY, INBOUND_KEY, SPAN_KEY
from eco2_tracing.sampling._head.fixed import LOW_64_BITS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opentelemetry.trace import Span

    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths
    from eco2_tracing._instrumentation.common.state import InstrumentationState, Recording
    from eco2_tracing.propagation._inbound import Inbound

    Scope = dict[str, Any]
    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
    ServerRequestHook = Callable[[Span, Scope], None]

_MARK = "eco2_tracing"


class TracingMiddleware:
    """Traces what an application does, outside everything else of it.

    Args:
        app: The rest of the application.
        owner: The FastAPI application, for its routes.
        excluded_paths: What to leave out where the environment says nothing.
        hook: Called with every recording server span and the scope.
    """

    def __init__(
        self, app: ASGIApp, owner: Any, excluded_paths: ExcludedPaths, hook: ServerRequestHook | None
    ) -> None:
        self.app = app
        self._owner = owner
        self._excluded_paths = excluded_paths
        self._hook = hook
        self._beside = OuterInstrumentation()
        self._startup: Context | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection; never changes what the application and the client see of each other.

        A plain function that returns a coroutine: a frame less for every request.
        """
        engine = current.engine
        kind = scope["type"]
        if engine is None or _MARK in scope or (kind != "http" and kind != "websocket"):
            return self._unprepared(engine, scope, receive, send)
        try:
            return self._prepared(engine, scope, receive, send)
        except Exception:  # noqa: BLE001 - the request goes on
            internal_failure("the beginning of a request")
            return self.app(scope, receive, send)

    def _unprepared(
        self, engine: InstrumentationState | None, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        kind = scope["type"]
        if kind == "lifespan":
            self._startup = startup_context(scope)
            return lifespan(self.app, scope, receive, send)
        if engine is not None or _MARK in scope or (kind != "http" and kind != "websocket"):
            return self.app(scope, receive, send)
        if not current.configured:
            report_unconfigured()
        scope[_MARK] = True
        base = without_leftovers(otel_context.get(), self._startup, scope)
        return serve_isolated(self.app, scope, receive, send, base, base)

    def _prepared(
        self, engine: InstrumentationState, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        scope[_MARK] = True
        base = otel_context.get()
        if base:
            base = without_leftovers(base, self._startup, scope)
            if is_suppressed(base):
                step_aside(scope)
                return serve_isolated(self.app, scope, receive, send, base, base)
        if type(scope["headers"]) is not list:
            make_readable(scope)
        inbound = engine.read(scope["headers"])
        outer = self._beside(scope, base, inbound, send) if base else None
        scope.setdefault(NATIVE, None)  # both as ``step_aside`` does it, without a call
        scope[STARLETTE] = True
        excluded = engine.excluded_paths or self._excluded_paths
        more = engine.excludes_more or scope.get("root_path")
        if excluded.match(scope["path"]) is not None or (more and is_excluded(engine, excluded, scope)):
            return self._excluded(engine, scope, receive, send, base, inbound, outer)
        if outer is not None:
            return serve_isolated(self.app, scope, receive, send, base, base)
        recording = engine.recording
        if (
            inbound is not None
            and inbound.refused
            and recording is not None
            and recording.lazily
            and recording.on_start is None
            and self._hook is None
            and not base
        ):
            if inbound.trace_id & LOW_64_BITS < recording.tail_sampler.kept_below:  # the usual case
                usual = ServerSpan(engine, recording, inbound, scope, send, self._owner)
                context = Context({SPAN_KEY: usual, INBOUND_KEY: inbound})
                return self._recorded(scope, receive, base, usual, context)
            if engine.response_header is None:
                ids = UnrecordedSpan(recording, inbound, scope)
                context = Context({SPAN_KEY: ids, INBOUND_KEY: inbound})
                return self._unrecorded(scope, receive, send, base, ids, context)
        if recording is None:
            if engine.tracer is not None:
                return external_request(engine, engine.tracer, self, scope, receive, send, base, inbound)
            return self._passed_on(engine, scope, receive, send, base, inbound)
        span = begin_server_span(engine, recording, scope, send, base, inbound, self._owner)
        values: dict[str, Any] = {**base, SPAN_KEY: span} if base else {SPAN_KEY: span}
        if inbound is not None:
            values[INBOUND_KEY] = inbound
            if inbound.baggage is not None:
                values[BAGGAGE_KEY] = inbound.baggage
            if inbound.extras:
                values.update(inbound.extras)
        if isinstance(span, ServerSpan):
            if self._hook is not None or recording.on_start is not None:
                self._announce(recording, span, scope, base)
            return self._recorded(scope, receive, base, span, Context(values))
        if engine.response_header is not None:
            send = with_trace_id(send, engine.response_header, span.get_span_context().trace_id)
        return self._unrecorded(scope, receive, send, base, span, Context(values))

    def _excluded(
        self,
        engine: InstrumentationState,
        scope: Scope,
        receive: Receive,
        send: Send,
        base: Context,
        inbound: Inbound | None,
        outer: Any,
    ) -> Awaitable[None]:
        """No span, not even the one that an outer instrumentation has made, where that is possible."""
        if outer is not None:
            discard(outer, inbound)
        denied = without_decision(inbound)
        return self._passed_on(engine, scope, receive, send, base, denied, excluded_context(denied, base))

    def _passed_on(
        self,
        engine: InstrumentationState,
        scope: Scope,
        receive: Receive,
        send: Send,
        base: Context,
        inbound: Inbound | None,
        context: Context | None = None,
    ) -> Awaitable[None]:
        """No span: the caller's context goes on as it came, unless another context is given."""
        if context is None:
            context = base if inbound is None else engine.propagation.context(inbound, base)
        if engine.response_header is not None and inbound is not None and inbound.trace_id:
            send = with_trace_id(send, engine.response_header, inbound.trace_id)
        return serve_isolated(self.app, scope, receive, send, base, context)

    async def _unrecorded(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        base: Context,
        span: UnrecordedSpan,
        context: Context,
    ) -> None:
        """Ids for logs and calls, and nothing that could be kept."""
        bound = enter_request(span)
        token = otel_context.set(context)
        try:
            await self.app(
                scope, partial(receive_outside, receive, base, bound), partial(send_isolated, send, span)
            )
        except BaseException as exception:
            _remember(exception, span)
            raise
        finally:
            try:  # two calls less for each request than with `reset` and `end_request`
                otel_context.reset(token)
                current_request.reset(bound)
            except ValueError:  # abandoned: closed in another context, which has nothing of this request
                pass

    async def _recorded(
        self, scope: Scope, receive: Receive, base: Context, span: ServerSpan, context: Context
    ) -> None:
        bound = enter_request(span)
        token = otel_context.set(context)
        if scope.get("method") != "GET":  # a WebSocket, or a request that may have a body
            receive = span.watch(receive)
        try:
            await self.app(scope, partial(receive_outside, receive, base, bound), span.forward)
        except BaseException as exception:
            _remember(exception, span)
            span.raised(exception)
            raise
        finally:
            try:  # two calls less for each request than with `reset` and `end_request`
                otel_context.reset(token)
                current_request.reset(bound)
            except ValueError:  # abandoned: closed in another context, which has nothing of this request
                pass
            span.close()

    def _announce(self, recording: Recording, span: Any, scope: Scope, base: Context) -> None:
        if recording.on_start is not None:
            recording.on_start(span, base)
        if self._hook is not None:
            call_hook(self._hook, span, scope)


def _remember(exception: BaseException, span: Span) -> None:
    """Keep the ids on the exception: the server logs its traceback when the context is gone."""
    context = span.get_span_context()
    try:
        exception.__eco2_trace_ids__ = (context.trace_id, context.span_id)  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001, S110 - an exception class without room for attributes
        pass


def with_trace_id(send: Send, name: bytes, trace_id: int) -> Send:
    """Add the response header with the trace id to an answer."""

    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (name, b"%032x" % trace_id)]}
        await send(message)

    return forward
