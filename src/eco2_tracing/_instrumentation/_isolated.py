"""The outermost layer of an application whose server spans another instrumentation makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._context import otel_context, reset
from eco2_tracing._instrumentation._beside import OUTER, step_aside
from eco2_tracing._instrumentation._lifespan import lifespan
from eco2_tracing._instrumentation._server_calls import isolated, startup_context, without_leftovers
from eco2_tracing.logs import begin_request, end_request
from eco2_tracing.propagation._inbound import SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.context import Context


class Isolated:
    """Keeps context and log fields to one request, and flushes at the end of the lifespan.

    Args:
        app: The rest of the application; FastAPI looks for OpenTelemetry's middleware there.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self._startup: Context | None = None

    def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            self._startup = startup_context(scope)
            return lifespan(self.app, scope, receive, send)
        return self._serve(scope, receive, send)

    async def _serve(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        step_aside(scope)
        base = without_leftovers(otel_context.get(), self._startup)
        scope[OUTER] = base.get(SPAN_KEY)
        token = otel_context.set(base)
        bound = begin_request(scope)
        receive, send = isolated(receive, send, base, bound)
        try:
            await self.app(scope, receive, send)
        finally:
            end_request(bound)
            reset(token)
