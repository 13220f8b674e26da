"""``ECO2_TRACING_INSTRUMENTATION=contrib``: OpenTelemetry's own FastAPI and httpx packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import INVALID_SPAN, get_current_span

from eco2_tracing import logs
from eco2_tracing._guard import internal_failure, warn_once
from eco2_tracing._instrumentation._conventions import stable_semconv
from eco2_tracing._instrumentation._engine import current
from eco2_tracing._instrumentation._excluded import DEFAULT_EXCLUDED_PATHS, split_urls
from eco2_tracing._instrumentation._lifespan import lifespan
from eco2_tracing._instrumentation._suppressed import is_suppressed
from eco2_tracing.propagation import Inbound

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.trace import Span

    from eco2_tracing._instrumentation._engine import Engine
    from eco2_tracing._settings import TracingSettings

    ServerRequestHook = Callable[[Span, dict[str, Any]], None]

__all__ = ["excluded_regexes", "instrument_app", "instrument_httpx", "stable_semconv", "uninstrument_httpx"]

_FASTAPI = "opentelemetry.instrumentation.fastapi"
_HTTPX = "opentelemetry.instrumentation.httpx"
# httpx2's came later; an older package lacks it.
_CLIENTS = {"httpx": "HTTPXClientInstrumentor", "httpx2": "HTTPX2ClientInstrumentor"}
_ORIGIN = r"^\w+://[^/]*"
_API = r"(?:/api(?:/v\d+[\w.]*)?|/v\d+[\w.]*)?"


class _Inside:
    """What contrib's middleware does not do.

    It flushes, keeps log fields to a request, makes one server span, and goes on with the caller's context,
    unsampled, where a request is excluded.

    Args:
        app: The application inside contrib's middleware.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        engine = current.engine
        if scope["type"] == "lifespan":
            await lifespan(self._app, scope, receive, send)
            return
        # FastAPI's own telemetry looks for the key alone; a mounted application gets a copy of this scope.
        scope.setdefault("fastapi.telemetry", None)
        bound = logs.begin_request(scope)
        token = None if engine is None else _pass_on(engine, scope)
        try:
            await self._app(scope, receive, send)
        finally:
            if token is not None:
                detach(token)
            logs.end_request(bound)


def _pass_on(engine: Engine, scope: dict[str, Any]) -> Any:
    """Attach the caller's context to an excluded request: one for which contrib began no span."""
    try:
        base = get_current()
        if get_current_span(base) is not INVALID_SPAN or is_suppressed(base):
            return None
        inbound = engine.read(scope["headers"])
        denied = Inbound(denied=True, sampled=False) if inbound is None else inbound.unsampled()
        return attach(engine.propagation.context(denied, base))
    except Exception:  # noqa: BLE001 - the request goes on
        internal_failure("the beginning of an excluded request")
        return None


def excluded_regexes(paths: Iterable[str], root_path: str = "") -> tuple[str, ...]:
    """Write excluded paths as regular expressions over whole URLs, which is what contrib takes.

    Args:
        paths: As in ``ECO2_TRACING_EXCLUDED_PATHS``: a word is that path or below it, also behind the root
            path, ``/api`` and a version segment; an entry with a slash is a path prefix by segments.
        root_path: The application's root path; may be empty.

    Returns:
        One regular expression an entry.
    """
    root = f"(?:{re.escape(root_path.rstrip('/'))})?" if root_path.rstrip("/") else ""
    regexes = []
    for entry in filter(None, (path.strip() for path in paths)):
        middle = "" if "/" in entry else _API
        regexes.append(f"{_ORIGIN}{root}{middle}/{re.escape(entry.strip('/'))}(?:/|$)")
    return tuple(regexes)


def _excluded(app: FastAPI, settings: TracingSettings, argument: str | Iterable[str] | None) -> str:
    words, regexes = split_urls(settings.excluded_urls)
    paths: Iterable[str] | None = settings.excluded_paths
    if paths is None:
        paths = argument.split(",") if isinstance(argument, str) else argument
    if paths is None:
        paths = DEFAULT_EXCLUDED_PATHS
    return ",".join([*excluded_regexes([*paths, *words], app.root_path), *regexes])


def instrument_app(
    app: FastAPI,
    settings: TracingSettings,
    excluded_paths: str | Iterable[str] | None = None,
    server_request_hook: ServerRequestHook | None = None,
) -> None:
    """Trace an application with ``FastAPIInstrumentor``; safe to call twice and after its start.

    Args:
        app: The application.
        settings: Excluded paths and URLs, and captured headers.
        excluded_paths: Paths to leave out, where the settings name none.
        server_request_hook: Called with the span and the ASGI scope of each request.
    """
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        return
    stable_semconv()
    build = app.build_middleware_stack

    def build_middleware_stack() -> Any:
        stack: Any = build()
        # contrib takes the stack apart: what stands inside ServerErrorMiddleware comes inside its own.
        stack.app = _Inside(stack.app)
        return stack

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]
    import_module(_FASTAPI).FastAPIInstrumentor.instrument_app(
        app,
        server_request_hook=server_request_hook,
        excluded_urls=_excluded(app, settings, excluded_paths),
        http_capture_headers_server_request=list(settings.http_capture_headers_server_request),
        http_capture_headers_server_response=list(settings.http_capture_headers_server_response),
        http_capture_headers_sanitize_fields=list(settings.http_capture_headers_sanitize_fields),
    )
    app.middleware_stack = None  # built anew at the next request, also where it was built already


def instrument_httpx() -> tuple[str, ...]:
    """Trace httpx and httpx2 with contrib's instrumentors, where installed; safe to call twice.

    Returns:
        The names of those that are on.
    """
    stable_semconv()
    return tuple(name for name in _CLIENTS if _switch_on(name))


def uninstrument_httpx() -> None:
    """Undo ``instrument_httpx``."""
    for instrumentor in list(_switched_on):
        _switched_on.remove(instrumentor)
        instrumentor.uninstrument()


_switched_on: list[Any] = []


def _switch_on(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    kind = getattr(import_module(_HTTPX), _CLIENTS[name], None)
    if kind is None:
        warn_once(
            f"contrib:{name}",
            "%s calls are not traced: this opentelemetry-instrumentation-httpx is older than %s; pip install -U it",
            name,
            name,
        )
        return False
    instrumentor = kind()
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()
        if instrumentor.is_instrumented_by_opentelemetry:
            _switched_on.append(instrumentor)
    return bool(instrumentor.is_instrumented_by_opentelemetry)
