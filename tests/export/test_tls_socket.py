"""TLS without `ssl.SSLSocket`: the ends of a connection, its timeouts, and the reader of `http.client`."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
import trustme

from eco2_tracing._tls import TlsSocket
from eco2_tracing.sampling._remote.fetch import Fetcher, parse_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    """The server's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@contextmanager
def connected(authority: trustme.CA, serve: Callable[[ssl.SSLSocket], object]) -> Iterator[TlsSocket]:
    """Connect to a server that does one thing after the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()

    def run() -> None:
        with server_context(authority).wrap_socket(theirs, server_side=True) as secure:
            serve(secure)

    thread = threading.Thread(target=run)
    thread.start()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    ours.settimeout(5)
    tls = TlsSocket(ours, trust, "localhost")
    try:
        tls.handshake()
        yield tls
    finally:
        tls.close()
        thread.join()


def close_in_order(secure: ssl.SSLSocket) -> None:
    """Send a close_notify before closing."""
    secure.setblocking(False)
    try:
        secure.unwrap()
    except ssl.SSLWantReadError:
        pass  # the client says nothing at its end


@pytest.mark.parametrize("end", [close_in_order, lambda secure: secure.shutdown(socket.SHUT_RDWR)])
def test_a_peer_that_has_closed_sends_nothing(
    authority: trustme.CA, end: Callable[[ssl.SSLSocket], object]
) -> None:
    """The end of a connection is no error, with or without a close_notify."""
    with connected(authority, end) as tls:
        assert tls.recv(10) == b""


def test_the_reader_of_http_client(authority: trustme.CA) -> None:
    """It reads lines, and the rest up to the end."""
    with connected(authority, lambda secure: secure.sendall(b"a line\r\nand more")) as tls:
        reader = tls.makefile("rb")
        assert reader.readable()
        assert reader.readline() == b"a line\r\n"
        assert reader.read() == b"and more"


@pytest.mark.parametrize("timeout_s", [1e-9, 0.01])
def test_silence_is_a_timeout(authority: trustme.CA, timeout_s: float) -> None:
    """A timeout is raised before a wait and during it."""
    go = threading.Event()
    with connected(authority, lambda secure: go.wait(5)) as tls:
        tls.settimeout(timeout_s)
        try:
            with pytest.raises(TimeoutError):
                while True:  # the server's tickets come first
                    assert tls.recv(10)
        finally:
            go.set()


def test_strategies_over_https(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that the system's certificates vouch for is asked, and its answer read."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "8")
            self.end_headers()
            self.wfile.write(b'{"a": 1}')

        def log_message(self, *_: object) -> None:
            """Nothing to the console."""

    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.timeout = 5
        server.socket = server_context(authority).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        endpoint = parse_endpoint(f"https://localhost:{server.server_port}/sampling")
        assert Fetcher(endpoint, "shop").fetch() == {"a": 1}
        thread.join()


def test_the_descriptor_stays_open_for_a_reader(authority: trustme.CA) -> None:
    """`http.client` closes the socket once it has the head of an answer that ends the connection."""
    is_closed = threading.Event()

    def answer_late(secure: ssl.SSLSocket) -> None:
        assert is_closed.wait(10)
        secure.sendall(b"body")

    with connected(authority, answer_late) as tls:
        reader = tls.makefile()
        tls.close()
        is_closed.set()
        assert reader.read(4) == b"body"
        reader.close()
        assert tls.fileno() == -1
