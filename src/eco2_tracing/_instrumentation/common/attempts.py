"""Where the calls of other libraries go out, redirects included: there it is known to whom.

Their instrumentations inject once a call and without a host, so that what is meant for our own services would go to
strangers: where no span is recorded, and with every redirect, for the libraries copy all headers to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.propagators.textmap import default_setter
from opentelemetry.trace import get_current_span

from eco2_tracing._guard import internal_failure, warn_once
from eco2_tracing._instrumentation.common.grpc_attempts import patch_aio_channels, patch_channels
from eco2_tracing._instrumentation.common.http_client import send_one_baggage_header
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing.propagation._calls import replace

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.state import InstrumentationState

    # What is called, with its arguments: it may change the keyword ones.
    Settle = Callable[[InstrumentationState, Any, tuple[Any, ...], dict[str, Any]], None]

_SENT = "_eco2_sent"
_XRAY = "X-Amzn-Trace-Id"
_CONTRIB = "opentelemetry.instrumentation."


def _patch(
    state: InstrumentationState,
    library: str,
    headers: Any,
    host: str | None,
    request: Any = None,
    apart: Any = None,
) -> None:
    """Make headers, a mapping, those that a host may have.

    Args:
        state: The configuration in force.
        library: The last part of the name of the library's instrumentation.
        headers: The attempt's; they are changed.
        host: Whom it goes to.
        request: What may be sent again, and then first loses what it is given now.
        apart: More headers, a mapping that nothing is added to.
    """
    given = [*headers.items(), *(apart or {}).items()]
    scope = getattr(get_current_span(), "instrumentation_scope", None)
    traced = getattr(scope, "name", None) == _CONTRIB + library
    changes = state.propagation.calls.changes(given, host or "", *getattr(request, _SENT, ()), traced=traced)
    replace(headers, default_setter, changes.removed, changes.added)
    if apart:
        replace(apart, default_setter, changes.removed, [])
    if request is not None:
        setattr(request, _SENT, (changes.injected, changes.replaced))


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> Any:
    return args[position] if len(args) > position else kwargs[name]


def _requests(state: InstrumentationState, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    request = _argument(args, kwargs, 0, "request")
    _patch(state, "requests", request.headers, urlsplit(request.url).hostname, request)


def _aiohttp(
    state: InstrumentationState, request: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    _patch(state, "aiohttp_client", request.headers, request.url.host)


def _urllib(state: InstrumentationState, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Headers that the opener adds, and those that no redirect is to get, are kept apart."""
    request = _argument(args, kwargs, 1, "req")
    host = urlsplit(request.full_url).hostname
    _patch(state, "urllib", request.headers, host, request, request.unredirected_hdrs)


def _urllib3(state: InstrumentationState, pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A whole URL is what a proxy is sent; headers may be the application's own mapping."""
    url = _argument(args, kwargs, 2, "url")
    host = pool.host if url.startswith("/") else urlsplit(url).hostname
    if kwargs.get("headers"):
        kwargs["headers"] = kwargs["headers"].copy()
        _patch(state, "urllib3", kwargs["headers"], host)


def _httpcore(state: InstrumentationState, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if current.calls:
        return  # httpx's calls are ours by now: it has been decided to whom they go, whatever a transport makes of it
    request = _argument(args, kwargs, 0, "request")
    changes = state.propagation.calls.changes(request.headers, request.url.host.decode("ascii"))
    kept = [pair for pair in request.headers if pair[0].lower() not in changes.removed]
    request.headers = kept + changes.added


def _botocore(state: InstrumentationState, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Contrib writes the X-Ray header, whatever ``OTEL_PROPAGATORS`` lists; nobody signs it."""
    request = _argument(args, kwargs, 0, "request")
    told = str(request.headers.get(_XRAY, ""))
    span_id = f"{get_current_span().get_span_context().span_id:016x}"
    if span_id in told and not state.propagation.calls.may_inject(urlsplit(request.url).hostname or ""):
        del request.headers[_XRAY]


# By library: module, class and method, which every attempt passes with all of its headers.
_PLACES: dict[str, tuple[tuple[str, str, str, Settle], ...]] = {
    "requests": (("requests.adapters", "HTTPAdapter", "send", _requests),),
    "aiohttp-client": (("aiohttp.client_reqrep", "ClientRequest", "send", _aiohttp),),
    "urllib": (("urllib.request", "AbstractHTTPHandler", "do_open", _urllib),),
    "urllib3": (("urllib3.connectionpool", "HTTPConnectionPool", "_make_request", _urllib3),),
    "botocore": (("botocore.httpsession", "URLLib3Session", "send", _botocore),),
    "aiobotocore": (("aiobotocore.httpsession", "AIOHTTPSession", "send", _botocore),),
    "httpx": (
        ("httpcore", "ConnectionPool", "handle_request", _httpcore),
        ("httpcore", "AsyncConnectionPool", "handle_async_request", _httpcore),
    ),
    "httpx2": (
        ("httpcore2", "ConnectionPool", "handle_request", _httpcore),
        ("httpcore2", "AsyncConnectionPool", "handle_async_request", _httpcore),
    ),
}
_HTTP_CLIENT = {"requests", "urllib", "urllib3", "botocore"}
_CHANNELS = {"grpc_client": patch_channels, "grpc_aio_client": patch_aio_channels}
_done: set[str] = set()


def patch_attempts(library: str, *, wrapped: bool = False) -> None:
    """See to it that each attempt of a library's calls tells its callee no more than that one may know.

    Safe to call twice. It has no effect while tracing is not configured, and raises nothing.

    Args:
        library: The name of its instrumentation's entry point; nothing happens to others than clients of HTTP and gRPC.
        wrapped: Whether that instrumentation is on already: then gRPC's is out of reach.
    """
    if library in _done or (wrapped and library in _CHANNELS):
        return
    _done.add(library)
    try:
        if library in _CHANNELS:
            _CHANNELS[library](import_module("grpc"))
        if library in _HTTP_CLIENT:
            send_one_baggage_header()
        for module, class_name, method, settle in _PLACES.get(library, ()):
            _wrap(getattr(import_module(module), class_name), method, settle)
    except Exception as error:  # noqa: BLE001 - a version of the library that looks otherwise
        warn_once(
            f"attempts:{library}",
            "%s: redirects of its calls may take baggage and request ids to any host: %s: %s",
            library,
            type(error).__name__,
            error,
        )


def _wrap(owner: Any, method: str, settle: Settle) -> None:
    original = getattr(owner, method)

    @functools.wraps(original)
    def attempt(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = current.state
        if state is not None:
            try:
                settle(state, self, args, kwargs)
            except Exception:  # noqa: BLE001 - the call must go out
                internal_failure("the headers of an outgoing call")
        return original(self, *args, **kwargs)

    setattr(owner, method, attempt)
