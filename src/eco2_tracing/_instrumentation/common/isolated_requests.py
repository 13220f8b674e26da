"""The outermost middleware of an application whose server spans another instrumentation creates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._context import otel_context
from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.isolation import startup_context, without_leftovers
from eco2_tracing._instrumentation.common.lifespan import lifespan
from eco2_tracing._instrumentation.common.outer import (
    OUTER,
    as_unsampled,
    disable_inner_spans,
    excluded_context,
)
from eco2_tracing._instrumentation.common.served_request import ServedRequest, serve
from eco2_tracing._instrumentation.common.serving import record_server_contexts
from eco2_tracing._instrumentation.common.state import current, is_excluded
from eco2_tracing.propagation._inbound import SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.context import Context
    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.asgi import ASGIApp, Receive, Scope, Send
    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths

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
