"""The outgoing calls of both modes, and the local server that answers them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class ClientCase:
    """One call.

    Args:
        name: What the comparison calls it.
        target: Path and query, or a whole URL; ``{port}`` is the server's port.
        method: The method.
        headers: The call's own headers.
        follow: Whether redirects are followed.
        timeout_s: Seconds to wait for the answer.
    """

    name: str
    target: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    follow: bool = False
    timeout_s: float = 5.0

    def url(self, port: int) -> str:
        """Build the URL for a server on this port."""
        if "://" in self.target:
            return self.target.format(port=port)
        return f"http://127.0.0.1:{port}{self.target}"


CLIENT_CASES: tuple[ClientCase, ...] = (
    ClientCase("200", "/status/200"),
    ClientCase("204 to a POST", "/status/204", method="POST"),
    ClientCase("302 not followed", "/status/302"),
    ClientCase("404", "/status/404"),
    ClientCase("500", "/status/500"),
    ClientCase("status 599", "/status/599"),
    ClientCase("redirect followed", "/redirect", follow=True),
    ClientCase("redirect loop", "/loop", follow=True),
    ClientCase("connection refused", "http://127.0.0.1:1/"),
    ClientCase("unresolved host", "http://nothing.invalid/"),
    ClientCase("unsupported scheme", "ftp://127.0.0.1/"),
    ClientCase("server hangs up", "/hangup"),
    ClientCase("timeout", "/silent", timeout_s=0.05),
    ClientCase("body that breaks off", "/short"),
    ClientCase("query", "/status/200?a=1&b=%20x&c=%C3%A9"),
    ClientCase("query with contrib's secrets", "/status/200?sig=abc&a=%20b&X-Goog-Signature=xyz"),
    ClientCase("query with other secrets", "/status/200?token=s3cret&a=1"),
    ClientCase("user in the URL", "http://me:pass@127.0.0.1:{port}/status/200"),
    ClientCase("user without a password", "http://me@127.0.0.1:{port}/status/200"),
    ClientCase("fragment", "/status/200?a=1#part"),
    ClientCase("unicode path", "/status/200/café"),
    ClientCase("name for a host", "http://localhost:{port}/status/200"),
    ClientCase("unknown method", "/status/200", method="BREW"),
    ClientCase("method in lower case", "/status/200", method="get"),
    ClientCase("QUERY method", "/status/200", method="QUERY"),
    ClientCase("HEAD", "/status/200", method="HEAD"),
    ClientCase(
        "captured headers",
        "/headers",
        headers={"x-captured": "one, two", "x-secret-token": "hidden", "x-other": "no"},
    ),
    ClientCase("captured credentials", "/status/200", headers={"x-captured-tokens": "hush"}),
    ClientCase("captured header in UTF-8", "/status/200", headers={"x-captured": "café"}),
)


class _Handler(BaseHTTPRequestHandler):
    """Answers with the status in the path."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/hangup":
            self.close_connection = True
            return
        if path == "/short":
            self.close_connection = True
            self.send_response(200)
            self.send_header("content-length", "10")
            self.end_headers()
            self.wfile.write(b"abc")
            return
        if path == "/silent":
            self.server.released.wait(10)  # type: ignore[attr-defined]
            return
        status = 302 if path in {"/redirect", "/loop"} else 200
        if path.startswith("/status/"):
            status = int(path.split("/")[2])
        self.send_response(status)
        if status == 302:
            self.send_header("location", "/loop" if path == "/loop" else "/status/200")
        if path == "/headers":
            self.send_header("X-Reply", "one")
            self.send_header("X-Reply", "two, three")
            self.send_header("X-Secret-Reply", "hidden")
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = do_HEAD = do_BREW = do_QUERY = do_get = _answer

    def log_message(self, *args: object) -> None:
        """Write no access log."""


@contextmanager
def answering_server() -> Iterator[int]:
    """Run the server on a free port.

    Yields:
        The port.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.released = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.released.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join(5)
