"""Sets the trace headers of HTTP clients other than httpx at each attempt, redirects included.

The instrumentations of these clients inject once a call, before the host is known. The clients copy all headers to
a redirect. Without these hooks an external host would get headers that only internal hosts may get.

Several ``baggage`` headers of a request of `http.client` are merged into one. sentry-sdk adds such a header in
`http.client`, after the headers of the attempt are set. requests, urllib3, urllib and botocore use `http.client`. Only
the bytes that are sent contain all headers.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, MutableMapping
from http.client import HTTPConnection
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.propagators.textmap import default_setter
from opentelemetry.trace import get_current_span

from eco2_tracing._guard import guarded, warn_once
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing.propagation._calls import replace

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Wrapped
    from eco2_tracing._instrumentation.common.state import InstrumentationState

    Headers = MutableMapping[str, str]
    # Called with the object and the arguments of the patched method. May change the keyword arguments.
    SetHeaders = Callable[[InstrumentationState, Instance, Args, Kwargs], None]

_HEAD = "_eco2_head"
_NAME = b"\r\nbaggage:"
# A value may continue in a line that begins with a blank (RFC 9112, 5.2). `putheader` writes such lines.
_LINE = re.compile(rb"\r\nbaggage:[ \t]*((?:[^\r\n]|\r\n[ \t])*)", re.IGNORECASE)
_FOLD = re.compile(rb"\r\n[ \t]+")
# A signed header must not be changed: AWS Signature Version 4 lists the signed names.
_SIGNED = re.compile(rb"SignedHeaders=[a-z0-9;%-]*baggage", re.IGNORECASE)
_wrapped: list[bool] = []


def send_one_baggage_header() -> None:
    """Patch `http.client` to send one ``baggage`` header a request. Safe to call twice."""
    if _wrapped:
        return
    _wrapped.append(True)
    endheaders, send = HTTPConnection.endheaders, HTTPConnection.send

    @functools.wraps(endheaders)
    def ended(self: Any, *args: Any, **kwargs: Any) -> None:
        self.__dict__[_HEAD] = True  # the next bytes to be sent are the request line and all headers
        endheaders(self, *args, **kwargs)

    @functools.wraps(send)
    def sent(self: Any, data: Any) -> None:
        if self.__dict__.pop(_HEAD, False) and isinstance(data, bytes):
            data = _merged(data)
        send(self, data)

    HTTPConnection.endheaders = ended  # type: ignore[method-assign]
    HTTPConnection.send = sent  # type: ignore[method-assign]


def _merged(head: bytes) -> bytes:
    if head.lower().count(_NAME) < 2 or _SIGNED.search(head):
        return head
    with guarded("the headers of an outgoing call"):
        state = current.state
        if state is None:
            return head
        values = [_FOLD.sub(b",", line[1]) for line in _LINE.finditer(head)]
        value = state.propagation.calls.combined_baggage(values)
        place = head.lower().index(_NAME)
        return head[:place] + b"\r\nbaggage: " + value + _LINE.sub(b"", head[place:])
    return head


_SENT = "_eco2_sent"
_XRAY = "X-Amzn-Trace-Id"
_CONTRIB = "opentelemetry.instrumentation."


def _set_headers(
    state: InstrumentationState,
    library: str,
    headers: Headers,
    host: str | None,
    request: Instance = None,
    other_headers: Headers | None = None,
) -> None:
    """Replace the trace headers of an attempt by those that its host may get.

    Args:
        state: The configuration in force.
        library: The last part of the name of the library's instrumentation.
        headers: The attempt's headers, changed in place.
        host: The host, without a port.
        request: An object that the client may send again. The headers injected now are stored on it, and removed
            before the next attempt.
        other_headers: Further headers of the attempt. Trace headers are removed from them.
    """
    given = [*headers.items(), *(other_headers or {}).items()]
    scope = getattr(get_current_span(), "instrumentation_scope", None)
    traced = getattr(scope, "name", None) == _CONTRIB + library
    changes = state.propagation.calls.changes(given, host or "", *getattr(request, _SENT, ()), traced=traced)
    replace(headers, default_setter, changes.removed, changes.added)
    if other_headers:
        replace(other_headers, default_setter, changes.removed, [])
    if request is not None:
        setattr(request, _SENT, (changes.injected, changes.replaced))


def _argument(args: Args, kwargs: Kwargs, position: int, name: str) -> Instance:
    return args[position] if len(args) > position else kwargs[name]


def _requests(state: InstrumentationState, _: Instance, args: Args, kwargs: Kwargs) -> None:
    request = _argument(args, kwargs, 0, "request")
    _set_headers(state, "requests", request.headers, urlsplit(request.url).hostname, request)


def _aiohttp(state: InstrumentationState, request: Instance, args: Args, kwargs: Kwargs) -> None:
    _set_headers(state, "aiohttp_client", request.headers, request.url.host)


def _urllib(state: InstrumentationState, _: Instance, args: Args, kwargs: Kwargs) -> None:
    """Set the headers. urllib holds those that a redirect must not copy in a second mapping."""
    request = _argument(args, kwargs, 1, "req")
    host = urlsplit(request.full_url).hostname
    _set_headers(state, "urllib", request.headers, host, request, request.unredirected_hdrs)


def _urllib3(state: InstrumentationState, pool: Instance, args: Args, kwargs: Kwargs) -> None:
    """Set the headers in a copy: the mapping may belong to the application. A proxied URL contains the host."""
    url = _argument(args, kwargs, 2, "url")
    host = pool.host if url.startswith("/") else urlsplit(url).hostname
    if kwargs.get("headers"):
        kwargs["headers"] = kwargs["headers"].copy()
        _set_headers(state, "urllib3", kwargs["headers"], host)


def _httpcore(state: InstrumentationState, _: Instance, args: Args, kwargs: Kwargs) -> None:
    if current.calls:
        return  # the hook of httpx has set the headers, even if a transport has changed the host
    request = _argument(args, kwargs, 0, "request")
    changes = state.propagation.calls.changes(request.headers, request.url.host.decode("ascii"))
    kept = [pair for pair in request.headers if pair[0].lower() not in changes.removed]
    request.headers = kept + changes.added


def _botocore(state: InstrumentationState, _: Instance, args: Args, kwargs: Kwargs) -> None:
    """Remove the X-Ray header of a call to an external host.

    OpenTelemetry's hook injects it whatever ``OTEL_PROPAGATORS`` lists. It is not part of the signature.
    """
    request = _argument(args, kwargs, 0, "request")
    header = str(request.headers.get(_XRAY, ""))
    span_id = f"{get_current_span().get_span_context().span_id:016x}"
    if span_id in header and not state.propagation.calls.may_inject(urlsplit(request.url).hostname or ""):
        del request.headers[_XRAY]


# By library: module, class and method that is called once an attempt, when all headers are set.
_PATCHED_METHODS: dict[str, tuple[tuple[str, str, str, SetHeaders], ...]] = {
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
_USES_HTTP_CLIENT = {"requests", "urllib", "urllib3", "botocore"}
_patched: set[str] = set()


def patch_attempts(library: str) -> None:
    """Patch an HTTP client so that the headers of each attempt depend on its host.

    Safe to call twice. The hooks do nothing while tracing is not configured. Never raises.

    Args:
        library: The entry point of the library's instrumentation. Libraries that are no HTTP clients are ignored.
    """
    if library in _patched:
        return
    _patched.add(library)
    try:
        if library in _USES_HTTP_CLIENT:
            send_one_baggage_header()
        for module, class_name, method, set_headers in _PATCHED_METHODS.get(library, ()):
            _wrap(getattr(import_module(module), class_name), method, set_headers)
    except Exception as error:  # noqa: BLE001 - unknown versions of the library may lack the method
        warn_once(
            f"attempts:{library}",
            "%s: redirects of its calls may take baggage and request ids to external hosts: %s: %s",
            library,
            type(error).__name__,
            error,
        )


def _wrap(owner: type, method: str, set_headers: SetHeaders) -> None:
    original: Wrapped = getattr(owner, method)

    @functools.wraps(original)
    def attempt(self: Instance, *args: object, **kwargs: Any) -> Instance:
        state = current.state
        if state is not None:
            with guarded("the headers of an outgoing call"):
                set_headers(state, self, args, kwargs)
        return original(self, *args, **kwargs)

    setattr(owner, method, attempt)
