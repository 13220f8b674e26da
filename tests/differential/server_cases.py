"""The requests of both modes, as ASGI scopes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

Headers = tuple[tuple[bytes, bytes], ...]
HOST: Headers = ((b"host", b"shop.example:8080"),)


@dataclass(frozen=True)
class ServerCase:
    """One request.

    Args:
        name: What the comparison calls it.
        target: Path and query, percent-encoded as on the wire.
        method: The method; ``WEBSOCKET`` opens a WebSocket.
        headers: Raw headers beside ``host``.
        host: The ``host`` header's pair, or nothing.
        scope: What else differs in the scope.
        gone_after: The number of messages after which sending fails, because the client has disconnected.
        close_code: With what code the client of a WebSocket closes it.
    """

    name: str
    target: str
    method: str = "GET"
    headers: Headers = ()
    host: Headers = HOST
    scope: dict[str, Any] = field(default_factory=dict)
    gone_after: int | None = None
    close_code: int = 1000

    def build_scope(self) -> dict[str, Any]:
        """The ASGI connection scope."""
        path, _, query = self.target.partition("?")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "root_path": "",
            "headers": [*self.host, *self.headers],
            "client": ("10.1.2.3", 50123),
            "server": ("10.9.8.7", 8080),
            "extensions": {"websocket.http.response": {}},
        }
        if self.method == "WEBSOCKET":
            del scope["method"]
            scope |= {"type": "websocket", "scheme": "ws", "subprotocols": []}
        return scope | self.scope

    def messages(self) -> Iterable[dict[str, Any]]:
        """The messages that the application receives, in order."""
        if self.method == "WEBSOCKET":
            yield {"type": "websocket.connect"}
            yield {"type": "websocket.receive", "text": "hello"}
            yield {"type": "websocket.disconnect", "code": self.close_code}
        else:
            yield {"type": "http.request", "body": b"", "more_body": False}
            yield {"type": "http.disconnect"}


def _agent(value: bytes) -> Headers:
    return ((b"user-agent", value),)


BOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
HOSTILE: Headers = (
    (b"user-agent", b"\xff\xfe\\x41 caf\xc3"),
    (b"x-empty", b""),
    (b"x-captured", b"\xff\\xzz"),
    (b"x-null", b"a\x00b"),
    (b"content-length", b"-12abc"),
    (b"traceparent", b"00-zz-zz-zz"),
    (b"b3", b"%%%"),
    (b"baggage", b"=;=,,\xff"),
    (b"tracestate", b"=,=,"),
)

SERVER_CASES: tuple[ServerCase, ...] = (
    ServerCase("plain", "/plain"),
    ServerCase("sync endpoint", "/sync"),
    ServerCase("path parameter", "/items/7"),
    ServerCase("path with slashes", "/files/a/b.txt"),
    ServerCase("included router", "/api/v1/outer/me/inner/items/7"),
    ServerCase("exception in an included router", "/api/v1/outer/me/inner/boom"),
    ServerCase("mounted FastAPI", "/tenants/acme/items/7"),
    ServerCase("404 in a mounted FastAPI", "/tenants/acme/nothing"),
    ServerCase("422 in a mounted FastAPI", "/tenants/acme/items/x"),
    ServerCase("exception in a mounted FastAPI", "/tenants/acme/boom"),
    ServerCase("mounted Starlette", "/starlette/stars/vega"),
    ServerCase("mount in a mounted Starlette", "/starlette/deep/stars/vega"),
    ServerCase("404 in a mounted Starlette", "/starlette/nothing"),
    ServerCase("404", "/nothing/here"),
    ServerCase("405", "/plain", method="POST"),
    ServerCase("422", "/items/seven"),
    ServerCase("slash redirect", "/slash"),
    ServerCase("openapi", "/openapi.json"),
    ServerCase("404 returned", "/returned/404"),
    ServerCase("500 returned", "/returned/500"),
    ServerCase("503 returned", "/returned/503"),
    ServerCase("HTTPException 404", "/raised/404"),
    ServerCase("HTTPException 500", "/raised/500"),
    ServerCase("unhandled exception", "/boom"),
    ServerCase("unhandled exception in a sync endpoint", "/sync-boom"),
    ServerCase("handled exception", "/teapot"),
    ServerCase("dependency error", "/dependency"),
    ServerCase("streaming", "/stream"),
    ServerCase("streaming that fails", "/stream-boom"),
    ServerCase("streaming to a client that has gone", "/stream", gone_after=2),
    ServerCase("server-sent events", "/events"),
    ServerCase("background task", "/background"),
    ServerCase("background task that fails", "/background-boom"),
    ServerCase("HEAD", "/many", method="HEAD"),
    ServerCase("HEAD without a route for it", "/plain", method="HEAD"),
    ServerCase("OPTIONS", "/many", method="OPTIONS"),
    ServerCase("unknown method", "/many", method="BREW"),
    ServerCase("unknown method without a route", "/plain", method="BREW"),
    ServerCase("method in lower case", "/plain", method="get"),
    ServerCase("QUERY method", "/plain", method="QUERY"),
    ServerCase("query", "/plain?a=1&b=%20x&c=%C3%A9"),
    ServerCase("query with secrets", "/plain?token=s3cret&a=1&sig=abc&X-Goog-Signature=xyz"),
    ServerCase("query on an unknown path", "/nothing?password=hunter2"),
    ServerCase("empty query", "/plain?"),
    ServerCase("user agent", "/plain", headers=_agent(b"curl/8.5.0")),
    ServerCase("user agent of a bot", "/plain", headers=_agent(BOT)),
    ServerCase("user agent of a test", "/plain", headers=_agent(b"alwayson/1.0")),
    ServerCase("user agent, empty", "/plain", headers=_agent(b"")),
    ServerCase("user agent in UTF-8", "/plain", headers=_agent("café".encode())),
    ServerCase("user agent in Latin-1", "/plain", headers=_agent("café".encode("latin-1"))),
    ServerCase("hostile headers", "/plain", headers=HOSTILE),
    ServerCase("host without a port", "/plain", host=((b"host", b"shop.example"),)),
    ServerCase("two host headers", "/plain", host=(*HOST, (b"host", b"other.example"))),
    ServerCase("host in IPv6", "/plain", host=((b"host", b"[2001:db8::1]:8080"),)),
    ServerCase("host that is malformed", "/plain", host=((b"host", b"[::1"),)),
    ServerCase("missing host", "/plain", host=()),
    ServerCase("server in IPv6", "/plain", scope={"server": ("::1", 8080), "client": ("2001:db8::7", 50123)}),
    ServerCase("server on port 80", "/plain", scope={"server": ("10.9.8.7", 80)}),
    ServerCase("server on port 443", "/plain", scope={"server": ("10.9.8.7", 443), "scheme": "https"}),
    ServerCase("server unknown", "/plain", scope={"server": None}),
    ServerCase("server and host unknown", "/plain", host=(), scope={"server": None}),
    ServerCase("server on a socket file", "/plain", scope={"server": ("/run/app.sock", None)}),
    ServerCase("client unknown", "/plain", scope={"client": None}),
    ServerCase("client on a socket file", "/plain", scope={"client": ("", 0)}),
    ServerCase("HTTP/2", "/plain", scope={"http_version": "2"}),
    ServerCase("root path", "/gateway/items/7", scope={"root_path": "/gateway"}),
    ServerCase(
        "root path in a mounted FastAPI",
        "/gateway/tenants/acme/items/7",
        scope={"root_path": "/gateway"},
    ),
    ServerCase("root path that the proxy stripped", "/items/7", scope={"root_path": "/gateway"}),
    ServerCase("unicode path", "/caf%C3%A9/%ED%95%9C"),
    ServerCase("path that only looks encoded", "/files/a%2520b"),
    ServerCase(
        "captured headers",
        "/headers",
        headers=(
            (b"x-captured", b"one"),
            (b"x-captured", b"two"),
            (b"x-captured-also", b"three, four"),
            (b"x-secret-token", b"hidden"),
            (b"x-other", b"no"),
        ),
    ),
    ServerCase("captured credentials", "/headers", headers=((b"x-captured-tokens", b"hush"),)),
    ServerCase("captured headers, error", "/boom", headers=((b"x-captured", b"one"),)),
    ServerCase("WebSocket", "/ws/lobby?token=s3cret", method="WEBSOCKET"),
    ServerCase("WebSocket that the client closes", "/ws-loop", method="WEBSOCKET"),
    ServerCase("WebSocket whose client goes away", "/ws-loop", method="WEBSOCKET", close_code=1001),
    ServerCase("WebSocket that breaks off", "/ws-loop", method="WEBSOCKET", close_code=1006),
    ServerCase("WebSocket closed before accept", "/ws-denied", method="WEBSOCKET"),
    ServerCase("WebSocket refused with a response", "/ws-refused", method="WEBSOCKET"),
    ServerCase("WebSocket that fails", "/ws-boom", method="WEBSOCKET"),
    ServerCase("WebSocket without a route", "/ws-nothing", method="WEBSOCKET"),
    ServerCase("WebSocket on an HTTP route", "/plain", method="WEBSOCKET"),
    ServerCase(
        "parent in traceparent",
        "/plain",
        headers=(
            (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            (b"tracestate", b"vendor=1"),
        ),
    ),
    ServerCase("excluded", "/health"),
    ServerCase("path that starts like an excluded one", "/health-records"),
)
