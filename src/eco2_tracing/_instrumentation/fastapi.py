"""Implements ``instrument_app``: adds the tracing middleware as the outermost layer of an application."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from starlette.middleware import Middleware

from eco2_tracing._guard import logger, warn_once
from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, excluded_paths_of
from eco2_tracing._instrumentation.common.isolated_requests import INSTALLED, isolate, unbuilt_stack
from eco2_tracing._instrumentation.common.route import RouterScope
from eco2_tracing._instrumentation.common.serving import record_server_contexts
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.server.background_tasks import instrument_background_tasks
from eco2_tracing._instrumentation.server.middleware import TracingMiddleware

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from starlette.applications import Starlette

    ServerRequestHook = Callable[[Span, dict[str, Any]], None]

_ARGUMENTS = "_eco2_tracing_arguments"
_CONTRIB_MARK = "_is_instrumented_by_opentelemetry"


def install(
    app: Starlette, excluded_paths: str | Iterable[str] | None, server_request_hook: ServerRequestHook | None
) -> None:
    """Instrument one application in place; see ``eco2_tracing.instrument_app``."""
    record_server_contexts()
    if getattr(app, INSTALLED, None) is not None:
        _report_different_arguments(getattr(app, _ARGUMENTS, None), excluded_paths, server_request_hook)
        return
    if getattr(app, _CONTRIB_MARK, False):
        # Under an external provider another line has reported which package creates the spans.
        level = (
            logging.INFO if current.state is None or current.state.begin_external is None else logging.DEBUG
        )
        logger.log(
            level, "FastAPIInstrumentor already traces this application: it stays in charge of server spans"
        )
        isolate(app, ExcludedPaths(excluded_paths_of(excluded_paths)))
        return
    _disable_native_telemetry(app)
    instrument_background_tasks()
    paths = ExcludedPaths(excluded_paths_of(excluded_paths))
    stack: Any = app.middleware_stack
    middleware = TracingMiddleware(stack or unbuilt_stack, app, paths, server_request_hook)
    if stack is not None:
        app.middleware_stack = middleware  # type: ignore[assignment]  # ASGI's types are written differently
    setattr(app, INSTALLED, middleware)
    setattr(app, _ARGUMENTS, (paths, server_request_hook))
    # A later FastAPIInstrumentor must skip the application: it rebuilds stacks and would lose our middleware.
    setattr(app, _CONTRIB_MARK, True)
    build = app.build_middleware_stack

    def build_middleware_stack() -> Any:
        # Starlette builds the stack at the first request, after every ``add_middleware``. Ours is the outermost.
        middleware.app = _with_router_scope(app, build)
        return middleware

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]


def _report_different_arguments(
    first: tuple[ExcludedPaths, ServerRequestHook | None] | None,
    excluded_paths: str | Iterable[str] | None,
    server_request_hook: ServerRequestHook | None,
) -> None:
    if first is None:
        return
    found = []
    if (
        excluded_paths is not None
        and ExcludedPaths(excluded_paths_of(excluded_paths)).entries != first[0].entries
    ):
        found.append("excluded_paths")
    if server_request_hook is not None and server_request_hook != first[1]:
        found.append("server_request_hook")
    if found:
        warn_once(
            "instrument_app:again",
            "instrument_app was called again for the same application with other arguments, which are not used: %s",
            ", ".join(found),
        )


def _with_router_scope(app: Starlette, build: Callable[[], Any]) -> Any:
    """Return the built stack, with ``RouterScope`` inside of the application's middleware if there is any."""
    layers = app.user_middleware
    if not layers:
        return build()
    app.user_middleware = [*layers, Middleware(RouterScope)]
    try:
        return build()
    finally:
        app.user_middleware = layers


def _disable_native_telemetry(app: Starlette) -> None:
    """Disable FastAPI's own telemetry (since 0.142), which would create a second server span."""
    config = getattr(app, "_telemetry", None)
    if not isinstance(config, dict):
        return  # pragma: no cover - FastAPI before 0.142
    if config.get("tracer_provider") is not None:
        logger.info(
            "eco2-tracing creates this application's server spans; FastAPI(telemetry=...) creates none"
        )
    config["tracing"] = False
