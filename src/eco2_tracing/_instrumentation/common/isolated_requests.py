"""The outermost layer of an application whose server spans another instrumentation makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._context import otel_context
from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.isolation import startup_context, without_leftovers
from eco2_tracing._instrumentation.common.lifespan import lifespan
from eco2_tracing._instrumentation.common.outer import (
    OUTER,
    excluded_context,
    step_aside,
    without_decision,
)
from eco2_tracing._instrumentation.common.served_request import ServedRequest, serve
from eco2_tracing._instrumentation.common.serving import watch_servers
from eco2_tracing._instrumentation.common.state import current, is_excluded
from eco2_tracing.propagation._inbound import SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.context import Context
    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.asgi import ASGIApp, Receive, Scope, Send
    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths

INSTALLED = "_eco2_tracing_middleware"
"""The attribute of an application that holds our outermost layer."""


class IsolatedRequests:
    """Keeps context and log fields to one request, and flushes at the end of the lifespan.

    Args:
        app: The rest of the application; FastAPI looks for OpenTelemetry's middleware there.
        excluded_paths: What to leave out where the environment says nothing; ``None`` where the other
            instrumentation has the list.
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
        step_aside(scope)
        base = without_leftovers(otel_context.get(), self._startup, scope)
        scope[OUTER] = base.get(SPAN_KEY)
        return serve(self.app, ServedRequest(scope, send), scope, receive, base, self._context(scope, base))

    def _context(self, scope: Scope, base: Context) -> Context:
        """Return the context in which the other instrumentation begins its span; an excluded request has none."""
        state = current.state
        if state is not None and self._excluded_paths is not None:
            with guarded("the beginning of a request"):
                if is_excluded(state, state.excluded_paths or self._excluded_paths, scope):
                    return excluded_context(without_decision(state.read(scope["headers"])), base)
        return base


def isolate(app: Starlette, excluded_paths: ExcludedPaths | None = None) -> None:
    """Keep the requests of an application apart that another instrumentation traces; safe to call twice.

    Args:
        app: The application. What is outermost in its stack now stays inside of ours.
        excluded_paths: What to leave out; ``None`` where the other instrumentation has the list.
    """
    watch_servers()
    if getattr(app, INSTALLED, None) is not None:
        return
    stack: Any = app.middleware_stack
    middleware: Any = IsolatedRequests(stack or not_built, excluded_paths)
    setattr(app, INSTALLED, middleware)
    if app.middleware_stack is not None:
        app.middleware_stack = middleware
    build = app.build_middleware_stack

    def build_middleware_stack() -> Any:
        middleware.app = build()
        return middleware

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


async def not_built(
    scope: Scope, receive: Receive, send: Send
) -> None:  # pragma: no cover - replaced before any use
    """Stand for the rest of the application until its middleware stack is built."""
    raise RuntimeError("the middleware stack has not been built")
