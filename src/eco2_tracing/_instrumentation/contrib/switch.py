"""Traces with OpenTelemetry's FastAPI and httpx packages, for ``ECO2_TRACING_INSTRUMENTATION=contrib``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace import INVALID_SPAN, SpanKind, get_current_span

from eco2_tracing._compat.contrib import stable_semconv
from eco2_tracing._guard import guarded, warn_once
from eco2_tracing._instrumentation.common.attempts import patch_attempts
from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, excluded_paths_of, excluded_urls
from eco2_tracing._instrumentation.common.lifespan import report_unconfigured
from eco2_tracing._instrumentation.common.outer import OUTER, as_unsampled, discard, excluded_context, isolate
from eco2_tracing._instrumentation.common.served_request import call_hook, trace_id_header
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._spans.peer import Peer, is_peer_error, is_peer_error_response
from eco2_tracing._untraced import is_suppressed
from eco2_tracing.propagation import inbound_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.http_attributes import ASGIApp, Message, Receive, Scope, Send
    from eco2_tracing._instrumentation.common.state import InstrumentationState
    from eco2_tracing._settings import Settings

    ServerRequestHook = Callable[[Span, dict[str, Any]], None]

__all__ = [
    "instrument_app",
    "instrument_httpx",
    "patch_httpx",
    "stable_semconv",
    "uninstrument_httpx",
]

_FASTAPI = "opentelemetry.instrumentation.fastapi"
_HTTPX = "opentelemetry.instrumentation.httpx"
_PROPAGATORS = "opentelemetry.instrumentation.propagators"
# Older packages lack the instrumentor of httpx2.
_CLIENTS = {"httpx": "HTTPXClientInstrumentor", "httpx2": "HTTPX2ClientInstrumentor"}
_SERVER_ERROR = 500


class _InnerMiddleware:
    """Adds features that contrib's middleware lacks; runs inside of it.

    Links the server span to an untrusted upstream. Attaches the upstream's context, unsampled, to an excluded
    request. `IsolatedRequests` adds further features outside of contrib's middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = current.state
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if state is None and not current.configured:
            report_unconfigured()
        token, send = (None, send) if state is None else _begin_request(state, scope, send)
        peer = Peer(receive)
        try:
            await self._app(scope, peer.receive, _recording_peer_end(send, peer))
        except Exception as exception:
            if is_peer_error(exception, send, peer):
                _record_peer_end(get_current_span())
            raise
        finally:
            if token is not None:
                detach(token)


def _begin_request(state: InstrumentationState, scope: Scope, send: Send) -> tuple[Any, Send]:
    """Link contrib's span, or attach the upstream's context to an excluded request, which has no span.

    Returns:
        The token of the attached context, or ``None``; and the ``send`` to use.
    """
    with guarded("the beginning of a request"):
        base = get_current()
        current_span = get_current_span(base)
        is_excluded = current_span is INVALID_SPAN or current_span is scope.get(OUTER)
        if not is_excluded:
            _link(current_span, base)
        elif not is_suppressed(base):
            inbound = state.read(scope["headers"])
            discard(current_span, inbound)
            denied = as_unsampled(inbound)
            token = attach(excluded_context(denied, base))
            header = trace_id_header(state.response_header, denied.trace_id)
            return token, send if header is None else _with_header(send, header)
    return None, send


def _with_header(send: Send, header: tuple[bytes, bytes]) -> Send:
    """Return a ``send`` that adds a header to the response."""

    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), header]}
        await send(message)

    return forward


def _recording_peer_end(send: Send, peer: Peer) -> Send:
    """Return a ``send`` that records responses of 500 or above that the peer caused.

    Middleware of the application has handled the exception of such a response.
    """

    async def forward(message: Message) -> None:
        status = message.get("status")
        if isinstance(status, int) and status >= _SERVER_ERROR and is_peer_error_response(send, peer):
            _record_peer_end(get_current_span())
        await send(message)

    return forward


def _record_peer_end(current_span: Span) -> None:
    """Record that the peer caused the error on a span, so that the error does not keep the local trace."""
    local = getattr(current_span, "local_trace", None)
    if local is not None:
        local.peer_ended = True


def _link(current_span: Span, context: Context) -> None:
    """Link a request's span to an untrusted upstream: contrib begins spans without links."""
    inbound = inbound_of(context)
    if inbound is None or inbound.link is None:
        return
    if getattr(current_span, "kind", None) is SpanKind.SERVER:  # a mounted application's span is internal
        current_span.add_link(inbound.link)


class _ResponseHeader:
    """Adds the trace id to the responses that contrib traces, error pages included.

    Args:
        previous: The response propagator that the application has set, which is called, too; or ``None``.
    """

    def __init__(self, previous: Any) -> None:
        self._previous = previous

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
        """Inject the response header; contrib calls this with each ASGI message."""
        if self._previous is not None:
            self._previous.inject(carrier, context=context, setter=setter)
        state = current.state
        span_context = get_current_span(context).get_span_context()
        if state is None or state.response_header is None or not span_context.is_valid:
            return
        if isinstance(carrier, dict) and carrier.get("type") == "http.response.start":
            header = (state.response_header, b"%032x" % span_context.trace_id)
            # A new list: the application may send the same list again.
            carrier["headers"] = [*carrier.get("headers", ()), header]


def _set_response_propagator() -> None:
    propagators = import_module(_PROPAGATORS)
    previous = propagators.get_global_response_propagator()
    if not isinstance(previous, _ResponseHeader):
        propagators.set_global_response_propagator(_ResponseHeader(previous))


def instrument_app(
    app: Starlette,
    settings: Settings,
    excluded_paths: str | Iterable[str] | None = None,
    server_request_hook: ServerRequestHook | None = None,
) -> None:
    """Instrument an application with ``FastAPIInstrumentor``. Safe to call twice and after its start.

    Args:
        app: The application.
        settings: Name the excluded paths and URLs, and the captured headers.
        excluded_paths: The paths to exclude if the settings name none.
        server_request_hook: Called with the span and the ASGI scope of each request.
    """
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        isolate(app, ExcludedPaths(excluded_paths_of(excluded_paths)))
        return
    stable_semconv()
    _set_response_propagator()
    build = app.build_middleware_stack

    def build_middleware_stack() -> Any:
        stack: Any = build()
        # contrib rebuilds the stack: the content of ServerErrorMiddleware is placed inside of its middleware.
        stack.app = _InnerMiddleware(stack.app)
        return stack

    app.build_middleware_stack = build_middleware_stack  # type: ignore[method-assign]
    import_module(_FASTAPI).FastAPIInstrumentor.instrument_app(
        app,
        server_request_hook=None if server_request_hook is None else partial(call_hook, server_request_hook),
        excluded_urls=excluded_urls(app, settings, excluded_paths),
        http_capture_headers_server_request=list(settings.http_capture_headers_server_request),
        http_capture_headers_server_response=list(settings.http_capture_headers_server_response),
        http_capture_headers_sanitize_fields=list(settings.http_capture_headers_sanitize_fields),
    )
    app.middleware_stack = None  # the next request builds it again
    isolate(app)


def instrument_httpx() -> tuple[str, ...]:
    """Instrument httpx and httpx2 with contrib's instrumentors, if installed. Safe to call twice.

    Returns:
        The names of the packages that are instrumented.
    """
    stable_semconv()
    instrumented = tuple(name for name in _CLIENTS if _instrument(name))
    patch_httpx()
    return instrumented


def patch_httpx() -> None:
    """Limit the headers that calls under contrib's httpx instrumentors send to external hosts.

    It does not matter which code has switched the instrumentors on.
    """
    for name in _CLIENTS:
        if name in sys.modules:
            patch_attempts(name)


def uninstrument_httpx() -> None:
    """Undo ``instrument_httpx``."""
    for instrumentor in list(_instrumented):
        _instrumented.remove(instrumentor)
        instrumentor.uninstrument()


_instrumented: list[Any] = []


def _instrument(name: str) -> bool:
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
            _instrumented.append(instrumentor)
    return bool(instrumentor.is_instrumented_by_opentelemetry)
