"""Span attributes by the stable HTTP semantic conventions, captured headers included; the types of ASGI."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.trace import Span

if TYPE_CHECKING:
    from eco2_tracing._redaction import Redactor

Scope = dict[str, Any]
ReadScope = Mapping[str, Any]
"""A scope that is not changed."""
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Hook = Callable[[Span, Scope], None]
"""The application's ``server_request_hook``."""


REDACTED = "[REDACTED]"

_MAX_VALUE_LENGTH = 16 * 1024
_MAX_NAME_LENGTH = 128  # the time of a match grows with the length of the name
# Names of headers that carry credentials. Their values are always masked.
_SECRET = re.compile(r"authorization|cookie|token|secret|password|api[-_]?key", re.IGNORECASE)


def text(value: bytes) -> str:
    """Return a header's bytes as text: decoded as UTF-8, or as Latin-1 if that fails."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def make_headers_reusable(holder: dict[str, Any]) -> None:
    """Convert headers to a list unless they can be iterated over twice: ASGI allows any iterable."""
    headers = holder.get("headers")
    if headers is not None and not isinstance(headers, list | tuple):
        holder["headers"] = list(headers)


def is_event_stream(headers: Iterable[tuple[bytes, bytes]] | None) -> bool:
    """Return whether a response is an event stream, whose duration is decided by the client."""
    for name, value in headers or ():
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False


class HeaderCapture:
    """Selects headers by name and returns them as span attributes.

    Args:
        prefix: ``http.request.header.`` or ``http.response.header.``.
        names: Regular expressions for whole names, not case-sensitive.
        sanitized: Regular expressions for names whose values are masked.
        redactor: Masks headers with secret names. Masks secrets in other values, such as the URL in `referer`.
    """

    __slots__ = ("_match", "_prefix", "_redactor", "_sanitized")

    def __init__(
        self, prefix: str, names: Sequence[str], sanitized: Sequence[str], redactor: Redactor
    ) -> None:
        self._prefix = prefix
        self._match = re.compile("|".join(f"(?:{name})" for name in names), re.IGNORECASE).fullmatch
        joined = "|".join(f"(?:{name})" for name in sanitized)
        self._sanitized = re.compile(joined, re.IGNORECASE) if joined else None
        self._redactor = redactor

    def attributes(self, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
        """Return the captured headers: attribute names and lists of values."""
        found: dict[str, list[str]] = {}
        for raw_name, raw_value in headers:
            name = text(raw_name).lower()
            if len(name) <= _MAX_NAME_LENGTH and self._match(name):
                # The name as in the stable HTTP conventions; contrib replaces ``-`` by ``_``.
                key = self._prefix + name
                value = (
                    REDACTED
                    if self._masks(name)
                    else self._redactor.text(text(raw_value[:_MAX_VALUE_LENGTH]))
                )
                found.setdefault(key, []).append(value)
        return found

    def _masks(self, name: str) -> bool:
        if self._sanitized is not None and self._sanitized.search(name):
            return True
        return _SECRET.search(name) is not None or self._redactor.is_secret(name)


KNOWN_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
"""The methods of RFC 9110, RFC 5789 and the QUERY draft. The HTTP conventions name others ``_OTHER``."""

CLIENT_ERROR, SERVER_ERROR = 400, 500
"""The lowest status codes that are errors: of an outgoing call, and of an inbound request."""

_HTTP_PORT = 80
_MAX_CACHED_LENGTH = 512
_TEST_AGENTS = ("alwayson",)
_BOT_AGENTS = ("googlebot", "bingbot")


class Url(Protocol):
    """The URL of an outgoing call, as httpx and httpx2 define it."""

    @property
    def host(self) -> str:
        """The name or address, without a port."""

    @property
    def port(self) -> int | None:
        """The port; ``None`` if it is absent or the default of the scheme."""


class Headers(Protocol):
    """The headers of an outgoing call."""

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """Names and values."""


class Request(Protocol):
    """An outgoing request, as httpx and httpx2 define it."""

    method: str
    url: Any
    headers: Any


def method_of(method: str) -> str:
    """Return a method by the HTTP conventions: in upper case, ``_OTHER`` if unknown."""
    if method in KNOWN_METHODS:
        return method
    upper = method.upper()
    return upper if upper in KNOWN_METHODS else "_OTHER"


def span_method(scope: ReadScope) -> str:
    """Return the method in the form that span names use."""
    if scope["type"] == "websocket":
        return "HTTP"
    method = method_of(scope.get("method", ""))
    return "HTTP" if method == "_OTHER" else method


def request_attributes(scope: ReadScope, redactor: Redactor) -> dict[str, Any]:
    """Return the attributes that are known before the response."""
    attributes: dict[str, Any] = {}
    method = scope.get("method")
    if method:
        known = attributes["http.request.method"] = method_of(method)
        if known != method:
            attributes["http.request.method_original"] = method
    scheme = scope.get("scheme")
    if scheme:
        attributes["url.scheme"] = scheme
    attributes["url.path"] = redactor.url(scope["path"])
    query = scope.get("query_string")
    if query:
        attributes["url.query"] = redactor.query(text(query))
    if scope.get("http_version"):
        attributes["network.protocol.version"] = scope["http_version"]
    server = scope.get("server")
    attributes.update(_server_attributes(server[0], server[1]) if server else _UNKNOWN_SERVER)
    client = scope.get("client")
    if client:
        if client[0]:
            attributes["client.address"] = client[0]
        if client[1]:
            attributes["client.port"] = client[1]
    for name, value in scope.get("headers") or ():
        if name == b"user-agent":
            if value:
                # Most requests have one of a few user agents: the attributes are cached.
                read = (
                    _user_agent_attributes
                    if len(value) <= _MAX_CACHED_LENGTH
                    else _user_agent_attributes.__wrapped__
                )
                attributes.update(read(bytes(value), redactor))
            break
    return attributes


@lru_cache(32)
def _server_attributes(host: str, port: int | None) -> dict[str, Any]:
    """Return the attributes of a server address. The result is cached and must not be changed."""
    attributes: dict[str, Any] = {"server.address": host}
    if port:
        attributes["server.port"] = port
    return attributes


_UNKNOWN_SERVER = _server_attributes("0.0.0.0", _HTTP_PORT)  # noqa: S104 - contrib's value for an unknown server


@lru_cache(128)
def _user_agent_attributes(header: bytes, redactor: Redactor) -> dict[str, str]:
    """Return the attributes of a `user-agent` header, masked. The result is cached and must not be changed."""
    agent = redactor.name(text(header))
    lower = agent.lower()
    if any(word in lower for word in _TEST_AGENTS):
        return {"user_agent.original": agent, "user_agent.synthetic.type": "test"}
    if any(word in lower for word in _BOT_AGENTS):
        return {"user_agent.original": agent, "user_agent.synthetic.type": "bot"}
    return {"user_agent.original": agent}


def call_name(method: str) -> str:
    """Return the name of the span of an outgoing call."""
    known = method_of(method)
    return "HTTP" if known == "_OTHER" else known


def call_attributes(method: str, url: Url, redactor: Redactor) -> dict[str, Any]:
    """Return the attributes that are known before a call is sent."""
    known = method_of(method)
    attributes: dict[str, Any] = {"http.request.method": known, "url.full": redactor.url(str(url))}
    if known == "_OTHER":
        attributes["http.request.method_original"] = method
    if url.host:
        attributes["server.address"] = attributes["network.peer.address"] = url.host
    if url.port:
        attributes["server.port"] = attributes["network.peer.port"] = url.port
    return attributes
