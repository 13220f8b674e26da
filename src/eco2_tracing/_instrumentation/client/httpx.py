"""Patches httpx and httpx2: creates a client span for each attempt, and replaces its trace headers.

An attempt is one request at a transport. The transports of both packages are patched at their public methods
``handle_request`` and ``handle_async_request``. Therefore each retry of an outer transport gets a span, a response
from a cache gets none, and transports work without a client. Transports of other packages are patched when a client
uses them. Clients call ``_send_single_request`` for every attempt.

contrib's httpx instrumentors are patched to do nothing, because they would create a second client span.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wrapt import register_post_import_hook, wrap_function_wrapper

from eco2_tracing._compat.httpx import replace_send_method, send_method, transport_of
from eco2_tracing._context import reset
from eco2_tracing._guard import internal_failure, logger, warn_once
from eco2_tracing._instrumentation.client.attempts import answered, begin, raised, suppress_inner_spans
from eco2_tracing._instrumentation.client.bodies import make_bodies
from eco2_tracing._instrumentation.client.transports import (
    calls_base,
    delegates,
    delegating,
    hooked,
    is_hooked,
    is_in_process,
    is_test_client,
)
from eco2_tracing._instrumentation.common.state import current

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.client.attempts import AsyncSend, Response, Send
    from eco2_tracing._instrumentation.client.bodies import Bodies
    from eco2_tracing._instrumentation.common.http_attributes import Request

MODULES = ("httpx", "httpx2")
_SYNC = "handle_request"
_ASYNC = "handle_async_request"
_TRANSPORTS = (
    ("HTTPTransport", _SYNC),
    ("AsyncHTTPTransport", _ASYNC),
    ("ASGITransport", _ASYNC),
    ("WSGITransport", _SYNC),
    ("MockTransport", _SYNC),
    ("MockTransport", _ASYNC),
)
_CLIENTS = (("Client", _SYNC), ("AsyncClient", _ASYNC))
_imported: set[str] = set()
_patched: set[str] = set()


def instrument_httpx() -> None:
    """Trace the calls of httpx and httpx2, by existing and new clients. ``configure_tracing`` calls it.

    Use it by hand if another tracer provider makes the spans. It is safe to call it twice, and before either package is
    imported. A package that is not installed is ignored.
    """
    current.calls = True
    block_contrib_spans()
    for name in MODULES:
        if name not in _imported:
            _imported.add(name)
            register_post_import_hook(_patch, name)


def uninstrument_httpx() -> None:
    """Undo ``instrument_httpx``: calls get no spans, and their headers are not changed."""
    current.calls = False


def _patch(module: ModuleType) -> None:
    if module.__name__ in _patched:  # httpx may be an alias of httpx2
        return
    _patched.add(module.__name__)
    try:
        bodies = make_bodies(module)
        for name, method in _TRANSPORTS:
            kind = getattr(module, name, None)
            if kind is not None:
                _hook(kind, method, bodies, may_delegate=False)
    except Exception:  # noqa: BLE001 - unknown versions of the package may differ
        internal_failure(f"instrumenting {module.__name__}")
        return
    for name, method in _CLIENTS:
        client = getattr(module, name, None)
        original = send_method(client)
        if original is None:
            warn_once(
                f"httpx:{module.__name__}.{name}",
                "this version of %s has no %s._send_single_request: calls by transports of other packages are not"
                " traced",
                module.__name__,
                name,
            )
        else:
            replace_send_method(client, _wrap_client(original, method, bodies))


def _hook(kind: type, method: str, bodies: Bodies, *, may_delegate: bool) -> bool:
    """Patch a class of transports to create the spans of its attempts.

    Returns:
        ``False`` if the class cannot be patched.
    """
    original = getattr(kind, method)
    in_process = is_in_process(kind)
    outer = kind if may_delegate else None
    wrapped = (_wrap_sync if method == _SYNC else _wrap_async)(original, in_process, outer, bodies)
    try:
        setattr(kind, method, wrapped)
    except (AttributeError, TypeError):  # the class is not written in Python
        return False
    hooked.add(wrapped)
    return True


def _wrap_sync(original: Send, in_process: bool, outer_kind: type | None, bodies: Bodies) -> Send:
    @functools.wraps(original)
    def handle_request(self: object, request: Request) -> Response:
        begun = None if outer_kind and outer_kind in delegating else begin(request, in_process, outer_kind)
        if begun is None:
            return original(self, request)
        attempt, token, outer = begun
        try:
            response = original(self, request)
        except BaseException as exception:
            if outer is None or outer.take() is not None:
                raised(attempt, exception)
            raise
        finally:
            reset(token)
        if outer is None or outer.take() is not None:
            answered(attempt, response, bodies.sync)
        return response

    return handle_request


def _wrap_async(original: AsyncSend, in_process: bool, outer_kind: type | None, bodies: Bodies) -> AsyncSend:
    @functools.wraps(original)
    async def handle_async_request(self: object, request: Request) -> Response:
        begun = None if outer_kind and outer_kind in delegating else begin(request, in_process, outer_kind)
        if begun is None:
            return await original(self, request)
        attempt, token, outer = begun
        try:
            response = await original(self, request)
        except BaseException as exception:
            if outer is None or outer.take() is not None:
                raised(attempt, exception)
            raise
        finally:
            reset(token)
        if outer is None or outer.take() is not None:
            answered(attempt, response, bodies.asynchronous)
        return response

    return handle_async_request


def _wrap_client(original: Callable[..., Any], method: str, bodies: Bodies) -> Callable[..., Any]:
    """Wrap the send method of a client to trace calls whose transport does not create spans."""

    def hook(kind: type) -> bool:
        return _hook(kind, method, bodies, may_delegate=True)

    wrap: Callable[..., Any] = _wrap_sync if method == _SYNC else _wrap_async

    @functools.wraps(original)
    def send(self: object, request: Request) -> object:
        transport = _unpatched_transport(self, request, method, hook)
        if transport is None:
            return original(self, request)
        if transport is self:
            send_untraced: Callable[..., object] = _send_untraced if method == _SYNC else _send_untraced_async
            return send_untraced(original, self, request)
        kind = type(transport)
        return wrap(original, is_in_process(kind), kind, bodies)(self, request)

    return send


def _send_untraced(original: Send, client: object, request: Request) -> Response:
    token = suppress_inner_spans(request, type(client))
    try:
        return original(client, request)
    finally:
        reset(token)


async def _send_untraced_async(original: AsyncSend, client: object, request: Request) -> Response:
    token = suppress_inner_spans(request, type(client))
    try:
        return await original(client, request)
    finally:
        reset(token)


def _unpatched_transport(
    client: object, request: Request, method: str, hook: Callable[[type], bool]
) -> object:
    """Return the object that decides how a client's attempt is traced.

    Returns:
        ``None`` if the transport creates the span, or if the call is not traced. The client if contrib's
        ``instrument_client`` was called for it. Otherwise the transport, which is not patched.
    """
    if current.state is None or not current.calls:
        return None
    try:
        if getattr(client, "_is_instrumented_by_opentelemetry", False):
            return client
        transport = transport_of(client, request.url)
        if is_hooked(transport, method):
            return None
        kind = type(transport)
        if kind in delegating or is_test_client(kind) or calls_base(kind, method):
            return None
        if delegates(transport, method, hook):
            return None
    except Exception:  # noqa: BLE001 - on the path of every call; private names of the client may have changed
        internal_failure("an outgoing call")
        return None
    return transport


_MODULE = "opentelemetry.instrumentation.httpx"
_CLASSES = ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor")


def block_contrib_spans() -> None:
    """Patch contrib's instrumentors to do nothing while httpx is instrumented by us. Safe to call twice."""
    register_post_import_hook(_watch, _MODULE)


def _watch(module: ModuleType) -> None:
    if hasattr(module, "_eco2_watched"):
        return
    module._eco2_watched = True  # type: ignore[attr-defined]
    for name in _CLASSES:
        for method in ("_instrument", "instrument_client"):
            try:
                wrap_function_wrapper(module, f"{name}.{method}", _unless_instrumented)
            except AttributeError:  # older packages lack httpx2; newer ones may lack the private method
                if method == "_instrument" and hasattr(module, name):
                    internal_failure("keeping client spans to one")


def _unless_instrumented(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    state = current.state
    if current.calls and state is not None:
        if not state.has_reported:
            state.has_reported = True
            logger.info(
                "eco2-tracing is in charge of client spans: opentelemetry-instrumentation-httpx creates none"
            )
        return None
    return wrapped(*args, **kwargs)
