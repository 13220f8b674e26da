"""``instrument_app``: puts the tracing middleware outside everything else of a FastAPI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import logger
from eco2_tracing._instrumentation._background import instrument_background_tasks
from eco2_tracing._instrumentation._excluded import ExcludedPaths, excluded_paths_of
from eco2_tracing._instrumentation._middleware import TracingMiddleware

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.trace import Span

    ServerRequestHook = Callable[[Span, dict[str, Any]], None]

_MIDDLEWARE = "_eco2_tracing_middleware"


def install(
    app: FastAPI, excluded_paths: str | Iterable[str] | None, server_request_hook: ServerRequestHook | None
) -> None:
    """Trace one application in place; see ``eco2_tracing.instrument_app``."""
    existing = getattr(app, _MIDDLEWARE, None)
    if existing is not None:
        return
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        logger.info("FastAPIInstrumentor already traces this application: it stays in charge of server spans")
        return
    _silence_native(app)
    instrument_background_tasks()
    paths = ExcludedPaths(excluded_paths_of(excluded_paths))
    stack: Any = app.middleware_stack
    middleware = TracingMiddleware(stack or _not_built, app, paths, server_request_hook)
    if stack is not None:
        app.middleware_stack = middleware  # type: ignore[assignment]  # ASGI's types are written differently
    setattr(app, _MIDDLEWARE, middleware)
    build = app.build_middleware_stack

    def build_middleware_stack() -> Any:
        # The stack is built at the first request, after every ``add_middleware``: we are outside all.
        middleware.app = build()  # type: ignore[assignment]
        return middleware

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


async def _not_built(
    scope: Any, receive: Any, send: Any
) -> None:  # pragma: no cover - replaced before any use
    raise RuntimeError("the middleware stack has not been built")


def _silence_native(app: FastAPI) -> None:
    """FastAPI's own telemetry (0.142 on) would make a second server span."""
    config = getattr(app, "_telemetry", None)
    if not isinstance(config, dict):
        return
    if config.get("tracer_provider") is not None:
        logger.info("eco2-tracing makes this application's server spans; FastAPI(telemetry=...) makes none")
    config["tracing"] = False
