"""The outermost layer of an application whose server spans another instrumentation makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._context import otel_context
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.excluded import is_excluded
from eco2_tracing._instrumentation.common.isolation import serve_isolated, startup_context, without_leftovers
from eco2_tracing._instrumentation.common.lifespan import lifespan
from eco2_tracing._instrumentation.common.outer import OUTER, excluded_context, step_aside, without_decision
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing.propagation._inbound import SPAN_KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.context import Context

    from eco2_tracing._instrumentation.common.excluded import ExcludedPaths


class Isolated:
    """Keeps context and log fields to one request, and flushes at the end of the lifespan.

    Args:
        app: The rest of the application; FastAPI looks for OpenTelemetry's middleware there.
        excluded_paths: What to leave out where the environment says nothing; ``None`` where the other
            instrumentation has the list.
    """

    def __init__(self, app: Any, excluded_paths: ExcludedPaths | None = None) -> None:
        self.app = app
        self._excluded_paths = excluded_paths
        self._startup: Context | None = None

    def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Awaitable[None]:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            self._startup = startup_context(scope)
            return lifespan(self.app, scope, receive, send)
        step_aside(scope)
        base = without_leftovers(otel_context.get(), self._startup, scope)
        scope[OUTER] = base.get(SPAN_KEY)
        return serve_isolated(self.app, scope, receive, send, base, self._context(scope, base))

    def _context(self, scope: dict[str, Any], base: Context) -> Context:
        """Return the context in which the other instrumentation begins its span; an excluded request has none."""
        engine = current.engine
        if engine is None or self._excluded_paths is None:
            return base
        try:
            if is_excluded(engine, engine.excluded_paths or self._excluded_paths, scope):
                return excluded_context(without_decision(engine.read(scope["headers"])), base)
        except Exception:  # noqa: BLE001 - the request goes on
            internal_failure("the beginning of a request")
        return base
