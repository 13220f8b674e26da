"""``ECO2_TRACING_INSTRUMENTATION=contrib``: OpenTelemetry's own FastAPI and httpx packages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import warn_once
from eco2_tracing._instrumentation._conventions import stable_semconv

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.trace import Span, TracerProvider
    from starlette.types import ASGIApp, Receive, Scope, Send

_FASTAPI = "opentelemetry.instrumentation.fastapi"
_HTTPX = "opentelemetry.instrumentation.httpx"
# httpx2's came later; an older package lacks it.
_CLIENTS = {"httpx": "HTTPXClientInstrumentor", "httpx2": "HTTPX2ClientInstrumentor"}
_ORIGIN = r"^\w+://[^/]*"
_API = r"(?:/api(?:/v\d+[\w.]*)?|/v\d+[\w.]*)?"


class _WithoutNativeTelemetry:
    """Stops FastAPI's own spans, which a mounted application makes beside the contrib one.

    Args:
        app: The application inside contrib's middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # FastAPI looks for the key alone; a mounted application gets a copy of this scope.
        if scope["type"] != "lifespan":
            scope.setdefault("fastapi.telemetry", None)
        await self._app(scope, receive, send)


def excluded_regexes(paths: Iterable[str], root_path: str = "") -> tuple[str, ...]:
    """Write excluded paths as regular expressions over whole URLs, which is what contrib takes.

    Args:
        paths: As in ``ECO2_TRACING_EXCLUDED_PATHS``: a word is that path or below it, also behind the root
            path, ``/api`` and a version segment; an entry with a slash is a path prefix by segments.
        root_path: The application's root path; may be empty.

    Returns:
        One regular expression an entry, without commas, because contrib splits its list at those.
    """
    root = f"(?:{re.escape(root_path.rstrip('/'))})?" if root_path.rstrip("/") else ""
    regexes = []
    for entry in filter(None, (path.strip() for path in paths)):
        middle = "" if "/" in entry else _API
        regexes.append(f"{_ORIGIN}{root}{middle}/{re.escape(entry.strip('/'))}(?:/|$)")
    return tuple(regexes)


def instrument_app_with_contrib(
    app: FastAPI,
    *,
    excluded_paths: Sequence[str] = (),
    excluded_urls: Sequence[str] = (),
    server_request_hook: Callable[[Span, dict[str, Any]], None] | None = None,
    request_headers: Sequence[str] = (),
    response_headers: Sequence[str] = (),
    sanitize_fields: Sequence[str] = (),
    tracer_provider: TracerProvider | None = None,
) -> None:
    """Trace an application with ``FastAPIInstrumentor``; safe to call twice and after its start.

    Args:
        app: The application.
        excluded_paths: As ``excluded_regexes`` reads them.
        excluded_urls: contrib's regular expressions, beside those.
        server_request_hook: Called with the span and the ASGI scope of each request.
        request_headers: Names or regular expressions of headers to capture.
        response_headers: The same for responses.
        sanitize_fields: Captured headers whose values are masked.
        tracer_provider: The provider; the global one unless given.
    """
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        return
    stable_semconv()
    build = app.build_middleware_stack

    def build_without_native_telemetry() -> ASGIApp:
        stack: Any = build()
        # contrib takes the stack apart: what stands inside ServerErrorMiddleware comes inside its own.
        stack.app = _WithoutNativeTelemetry(stack.app)
        return stack  # type: ignore[no-any-return]

    app.build_middleware_stack = build_without_native_telemetry  # type: ignore[method-assign]
    import_module(_FASTAPI).FastAPIInstrumentor.instrument_app(
        app,
        server_request_hook=server_request_hook,
        excluded_urls=",".join([*excluded_regexes(excluded_paths, app.root_path), *excluded_urls]),
        http_capture_headers_server_request=list(request_headers),
        http_capture_headers_server_response=list(response_headers),
        http_capture_headers_sanitize_fields=list(sanitize_fields),
        tracer_provider=tracer_provider,
    )
    app.middleware_stack = None  # built anew at the next request, also where it was built already


def instrument_httpx_with_contrib() -> tuple[str, ...]:
    """Trace httpx and httpx2 with contrib's instrumentors, where installed; safe to call twice.

    Returns:
        The names of those that are on.
    """
    stable_semconv()
    return tuple(name for name in _CLIENTS if _switch_on(name))


def uninstrument_httpx_with_contrib() -> None:
    """Undo ``instrument_httpx_with_contrib``."""
    for name in _CLIENTS:
        instrumentor = _instrumentor(name)
        if instrumentor is not None and instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


def _instrumentor(name: str) -> Any:
    kind = getattr(import_module(_HTTPX), _CLIENTS[name], None)
    return kind and kind()


def _switch_on(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    instrumentor = _instrumentor(name)
    if instrumentor is None:
        warn_once(
            f"contrib:{name}",
            "%s calls are not traced: opentelemetry-instrumentation-httpx is too old for %s; pip install -U it",
            name,
            name,
        )
        return False
    if not instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.instrument()
    return bool(instrumentor.is_instrumented_by_opentelemetry)
