"""The outermost ASGI middleware, which creates one server span a request."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from starlette.background import BackgroundTask

from eco2_tracing._context import otel_context
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.http_attributes import make_headers_reusable
from eco2_tracing._instrumentation.common.isolation import startup_context, without_leftovers
from eco2_tracing._instrumentation.common.lifespan import lifespan, report_unconfigured
from eco2_tracing._instrumentation.common.outer import (
    NATIVE,
    STARLETTE,
    OuterInstrumentation,
    as_unsampled,
    disable_inner_spans,
    discard,
    excluded_context,
)
from eco2_tracing._instrumentation.common.served_request import (
    ServedRequest,
    call_hook,
    serve,
    trace_id_header,
)
from eco2_tracing._instrumentation.common.state import current, is_excluded
from eco2_tracing._instrumentation.server.begin import UnrecordedRequest, UnrecordedSpan, begin, begin_lazily
from eco2_tracing._instrumentation.server.recorded import RecordedRequest
from eco2_tracing._spans.manual import span
from eco2_tracing._untraced import is_suppressed
from eco2_tracing.propagation._inbound import BAGGAGE_KEY, INBOUND_KEY, SPAN_KEY
from eco2_tracing.sampling._head.samplers import LOW_64_BITS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths
    from eco2_tracing._instrumentation.common.http_attributes import ASGIApp, Hook, Receive, Scope, Send
    from eco2_tracing._instrumentation.common.state import InstrumentationState, Instrumenter
    from eco2_tracing.propagation import Inbound

_OURS = "_eco2_background_span"
_running: ContextVar[BackgroundTask | None] = ContextVar("eco2_background_task", default=None)


def instrument_background_tasks() -> None:
    """Patch ``BackgroundTask`` so that each task of a traced request gets a span. Safe to call twice.

    contrib's FastAPI instrumentation patches the method, too, and restores an older one when it is removed. Therefore
    the present method is wrapped again unless it is our wrapper. A task that runs in two of our wrappers gets one
    span.

    Starlette has no other hook: the response calls the task inside of the application. The wrapper creates no span
    outside of a traced request or without a configuration. Therefore it is never removed.
    """
    original = BackgroundTask.__call__
    if hasattr(original, _OURS):
        return

    @functools.wraps(original)
    async def call(self: BackgroundTask) -> None:
        instrumenter = current.state is not None and trace.get_current_span().get_span_context().is_valid
        if not instrumenter or _running.get() is self:
            await original(self)
            return
        token = _running.set(self)
        try:
            with span(f"BackgroundTask {_name(self.func)}"):
                await original(self)
        finally:
            _running.reset(token)

    setattr(call, _OURS, True)
    BackgroundTask.__call__ = call  # type: ignore[method-assign]


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


_MARK = "eco2_tracing"


class TracingMiddleware:
    """Traces the requests of an application; the outermost of its middleware."""

    def __init__(
        self,
        app: ASGIApp,
        owner: Starlette,
        excluded_paths: ExcludedPaths,
        hook: Hook | None,
    ) -> None:
        self.app = app
        self._owner = owner
        self._hook = hook
        self._excluded_paths = excluded_paths
        self._outer = OuterInstrumentation()
        self._startup: Context | None = None

    @property
    def excluded_entries(self) -> tuple[str, ...]:
        """The excluded paths of the application's own argument, or the default."""
        return self._excluded_paths.entries

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection. Messages between application and server are not changed, except response headers.

        This is no coroutine function, because each request would need one more frame.
        """
        kind = scope["type"]
        if _MARK in scope or (kind != "http" and kind != "websocket"):
            if kind == "lifespan":
                self._startup = startup_context(scope)
                return lifespan(self.app, scope, receive, send)
            return self.app(scope, receive, send)
        scope[_MARK] = True
        try:
            return self._begin(scope, receive, send)
        except Exception:  # noqa: BLE001 - the request is served without a span
            internal_failure("the beginning of a request")
            return self.app(scope, receive, send)

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        base = otel_context.get()
        if base:
            base = without_leftovers(base, self._startup, scope)
        state = current.state
        if state is None:
            if not current.configured:
                report_unconfigured()
            return serve(self.app, ServedRequest(scope, send), scope, receive, base, base)
        if base and is_suppressed(base):
            disable_inner_spans(scope)
            return serve(self.app, ServedRequest(scope, send), scope, receive, base, base)
        if type(scope["headers"]) is not list:
            make_headers_reusable(scope)
        inbound = state.read(scope["headers"])
        outer = self._outer(scope, base, inbound, send) if base else None
        scope.setdefault(NATIVE, None)
        scope[STARLETTE] = True  # the same as ``disable_inner_spans``, without the cost of a call
        excluded = state.excluded_paths or self._excluded_paths
        more = state.excludes_more or scope.get("root_path")
        if excluded.match(scope["path"]) is not None or (more and is_excluded(state, excluded, scope)):
            if outer is not None:
                discard(outer, inbound)
            return self._untraced(state, scope, receive, send, base, as_unsampled(inbound), excluded=True)
        if outer is not None:
            return serve(self.app, ServedRequest(scope, send), scope, receive, base, base)
        instrumenter = state.instrumenter
        if instrumenter is None:
            if state.begin_external is None:
                return self._untraced(state, scope, receive, send, base, inbound)
            request, receive, context = state.begin_external(
                state, scope, receive, send, base, inbound, self._hook
            )
            return state.serve(self.app, request, scope, receive, base, context)
        if (
            inbound is not None
            and inbound.refused
            and instrumenter.lazy
            and not base
            and self._hook is None
            and instrumenter.factory.on_start is None
        ):
            # A faster way to the result of ``_traced`` for the most frequent kind of request.
            if inbound.trace_id & LOW_64_BITS >= instrumenter.tail_sampler.kept_below:
                if state.response_header is not None:
                    return self._traced(state, instrumenter, scope, receive, send, base, inbound)
                span = UnrecordedSpan(instrumenter.factory, inbound)
                context = Context({SPAN_KEY: span, INBOUND_KEY: inbound})
                return state.serve(
                    self.app, UnrecordedRequest(scope, send, span), scope, receive, base, context
                )
            lazy = begin_lazily(state, instrumenter, inbound, scope, send, self._owner)
            if scope.get("method") != "GET":  # a WebSocket, or a request that may have a body
                receive = lazy.watch(receive)
            context = Context({SPAN_KEY: lazy.span, INBOUND_KEY: inbound})
            return state.serve(self.app, lazy, scope, receive, base, context)
        return self._traced(state, instrumenter, scope, receive, send, base, inbound)

    def _traced(
        self,
        state: InstrumentationState,
        instrumenter: Instrumenter,
        scope: Scope,
        receive: Receive,
        send: Send,
        base: Context,
        inbound: Inbound | None,
    ) -> Awaitable[None]:
        """Serve a request with a span of ours."""
        begun = begin(state, instrumenter, inbound, scope, send, self._owner, base)
        span: Any = begun.span if isinstance(begun, RecordedRequest) else begun
        values: dict[str, object] = {**base, SPAN_KEY: span} if base else {SPAN_KEY: span}
        if inbound is not None:
            values[INBOUND_KEY] = inbound
            if inbound.baggage is not None:
                values[BAGGAGE_KEY] = inbound.baggage
            if inbound.extras:
                values.update(inbound.extras)
        if isinstance(begun, UnrecordedSpan):
            header = None
            if state.response_header is not None:
                header = trace_id_header(state.response_header, begun.get_span_context().trace_id)
            request: ServedRequest = UnrecordedRequest(scope, send, begun, header)
        else:
            request = begun
            if self._hook is not None or instrumenter.factory.on_start is not None:
                parent = base if inbound is None else state.propagation.context(inbound, base)
                self._call_start_hooks(instrumenter, span, scope, parent)
            if scope.get("method") != "GET":
                receive = begun.watch(receive)
        return state.serve(self.app, request, scope, receive, base, Context(values))

    def _untraced(
        self,
        state: InstrumentationState,
        scope: Scope,
        receive: Receive,
        send: Send,
        base: Context,
        inbound: Inbound | None,
        *,
        excluded: bool = False,
    ) -> Awaitable[None]:
        """Serve a request without a span, in the context extracted from its headers."""
        context = base
        if inbound is not None:
            context = (
                excluded_context(inbound, base) if excluded else state.propagation.context(inbound, base)
            )
        header = trace_id_header(state.response_header, 0 if inbound is None else inbound.trace_id)
        return serve(self.app, ServedRequest(scope, send, header), scope, receive, base, context)

    def _call_start_hooks(self, instrumenter: Instrumenter, span: Any, scope: Scope, parent: Context) -> None:
        if instrumenter.factory.on_start is not None:
            instrumenter.factory.on_start(span, parent)
        if self._hook is not None:
            call_hook(self._hook, span, scope)
