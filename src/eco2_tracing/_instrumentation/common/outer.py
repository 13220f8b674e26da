"""Ensures one server span a request if other instrumentations are outside or inside of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanKind

from eco2_tracing._compat.contrib import is_served_by_contrib
from eco2_tracing._context import otel_context
from eco2_tracing._guard import guarded, logger
from eco2_tracing._instrumentation.common.isolation import (
    record_server_contexts,
    startup_context,
    without_leftovers,
)
from eco2_tracing._instrumentation.common.lifespan import lifespan
from eco2_tracing._instrumentation.common.served_request import ServedRequest, serve
from eco2_tracing._instrumentation.common.state import SERVER_SCOPE, current, is_excluded
from eco2_tracing.propagation._inbound import SPAN_KEY, Inbound, context_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.context import Context
    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths
    from eco2_tracing._instrumentation.common.http_attributes import ASGIApp, Receive, Scope, Send

NATIVE = "fastapi.telemetry"
"""The scope key of FastAPI's own telemetry, which begins no span if the key is present."""
STARLETTE = "starlette.opentelemetry"
"""The scope key of Starlette's middleware, which begins no span if the value is true."""

# Instrumentations whose middleware begins an internal span if a span is current.
_MIDDLEWARES = frozenset(f"opentelemetry.instrumentation.{name}" for name in ("asgi", "fastapi", "starlette"))
# contrib's middleware begins a server span unless a span is current that is not the API's INVALID_SPAN.
_NO_SPAN = NonRecordingSpan(INVALID_SPAN_CONTEXT)


def disable_inner_spans(scope: Scope) -> None:
    """Prevent FastAPI's and Starlette's own instrumentations from creating a second server span.

    The scopes of mounted applications are copies with both keys.
    """
    scope.setdefault(NATIVE, None)
    scope[STARLETTE] = True


def as_unsampled(inbound: Inbound | None) -> Inbound:
    """Return the extracted context of an excluded request, marked as not sampled."""
    return Inbound(denied=True, sampled=False) if inbound is None else inbound.unsampled()


def excluded_context(denied: Inbound, base: Context) -> Context:
    """Return the context of an excluded request, in which no instrumentation begins a server span."""
    return context_of(denied, base if SPAN_KEY in base else {**base, SPAN_KEY: _NO_SPAN})  # type: ignore[arg-type]


OUTER = "eco2_tracing.outer"
"""The scope key of the span around an application that contrib traces."""


def discard(span: object, inbound: Inbound | None) -> None:
    """Drop the server span that an outer instrumentation created for an excluded request, and its children.

    Works with our provider only. An external provider exports the span.
    """
    kind = getattr(span, "kind", None)
    if kind is not SpanKind.SERVER and not (kind is SpanKind.INTERNAL and _is_below(span, inbound)):
        return
    local: Any = getattr(span, "local_trace", None)
    if local is not None and getattr(local.root, "kind", None) is SpanKind.SERVER:
        local.discard()


class OuterInstrumentation:
    """Finds the server span that an outer instrumentation created for a request. Logs the first one."""

    __slots__ = ("_has_reported",)

    def __init__(self) -> None:
        self._has_reported = False

    def __call__(self, scope: Scope, base: Context, inbound: Inbound | None, send: Send) -> object:
        """Return the current span if the request has a server span; ``None`` otherwise.

        The server span may be that of FastAPI's own telemetry, or of an instrumentation of the outer application.
        """
        native = scope.get(NATIVE)
        span = base.get(SPAN_KEY)
        kind = getattr(span, "kind", None)
        if native is not None and getattr(native, "span", None) is not None:
            instrumentation = "FastAPI's own telemetry"
        elif kind is SpanKind.SERVER and not _is_ours(span):
            # In a call of this process to itself, the current span is a client span or a server span of ours.
            instrumentation = "another instrumentation"
        elif kind is SpanKind.INTERNAL and _is_below(span, inbound, known=scope.get(STARLETTE)):
            instrumentation = "another instrumentation"
        elif span is not None and is_served_by_contrib(send):
            instrumentation = (
                "another instrumentation"  # the spans of external providers do not expose their ancestors
            )
        else:
            return None
        if not self._has_reported:
            self._has_reported = True
            logger.info(
                "%s traces the application that this one is mounted in: it stays in charge of server spans",
                instrumentation,
            )
        return span


def _is_below(span: object, inbound: Inbound | None, *, known: object = False) -> bool:
    """Return whether an internal span is below a server span of the same request.

    Args:
        span: The span.
        inbound: The extracted context; ``None`` if there are no trace headers.
        known: True if the scope shows that there is a server span.
    """
    parent = getattr(span, "parent", None)
    if inbound is not None and parent is not None and parent.span_id == inbound.span_id:
        return False  # a call of this process to itself: the parent is the client span of the call
    if known or _scope_name(span) in _MIDDLEWARES:
        return True
    root = getattr(getattr(span, "local_trace", None), "root", None)
    return getattr(root, "kind", None) is SpanKind.SERVER and not _is_ours(root)


def _is_ours(span: object) -> bool:
    return _scope_name(span) == SERVER_SCOPE


def _scope_name(span: object) -> object:
    return getattr(getattr(span, "instrumentation_scope", None), "name", None)


INSTALLED = "_eco2_tracing_middleware"
"""The attribute of an application that holds our outermost middleware."""


class IsolatedRequests:
    """Isolates the context and the log fields of each request, and flushes at the end of the lifespan.

    Args:
        app: The next ASGI application. FastAPI looks for OpenTelemetry's middleware in this attribute.
        excluded_paths: The paths to exclude if the environment sets none; ``None`` if the other instrumentation
            excludes paths.
    """

    def __init__(self, app: ASGIApp, excluded_paths: ExcludedPaths | None = None) -> None:
        self.app = app
        self._excluded_paths = excluded_paths
        self._startup: Context | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            self._startup = startup_context(scope)
            return lifespan(self.app, scope, receive, send)
        disable_inner_spans(scope)
        base = without_leftovers(otel_context.get(), self._startup, scope)
        scope[OUTER] = base.get(SPAN_KEY)
        return serve(self.app, ServedRequest(scope, send), scope, receive, base, self._context(scope, base))

    def _context(self, scope: Scope, base: Context) -> Context:
        """Return the context in which the other instrumentation begins its span.

        In the context of an excluded request it begins none.
        """
        state = current.state
        if state is not None and self._excluded_paths is not None:
            with guarded("the beginning of a request"):
                if is_excluded(state, state.excluded_paths or self._excluded_paths, scope):
                    return excluded_context(as_unsampled(state.read(scope["headers"])), base)
        return base


def isolate(app: Starlette, excluded_paths: ExcludedPaths | None = None) -> None:
    """Wrap an application that another instrumentation traces in `IsolatedRequests`. Safe to call twice.

    Args:
        app: The application. Its present middleware stack is wrapped.
        excluded_paths: The paths to exclude; ``None`` if the other instrumentation excludes paths.
    """
    record_server_contexts()
    if getattr(app, INSTALLED, None) is not None:
        return
    stack: Any = app.middleware_stack
    middleware: Any = IsolatedRequests(stack or unbuilt_stack, excluded_paths)
    setattr(app, INSTALLED, middleware)
    if app.middleware_stack is not None:
        app.middleware_stack = middleware
    build = app.build_middleware_stack

    def build_middleware_stack() -> Any:
        middleware.app = build()
        return middleware

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


async def unbuilt_stack(
    scope: Scope, receive: Receive, send: Send
) -> None:  # pragma: no cover - replaced before it is called
    """Raise: the placeholder for a middleware stack that has not been built."""
    raise RuntimeError("the middleware stack has not been built")
