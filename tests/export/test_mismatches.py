"""Another protocol on the port, and interim answers: what is said, and that no byte of the answer is in it."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme

from eco2_tracing._export.transport.mismatch import tls_error
from tests.export.receivers import GrpcReceiver, HttpReceiver, Scripted, eventually
from tests.export.spans import make_span
from tests.export.test_transports import read_request

if TYPE_CHECKING:
    from pathlib import Path

    from tests.export.conftest import Open

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
SETTINGS = b"\0\0\6\4\0\0\0\0\0\0\5\0\0\x40\0"
GOAWAY = b"\0\0\x0e\7\0\0\0\0\0\0\0\0\0\0\0\0\1geheim"
ALERT = b"\x15\3\1\0\2\2\x46"
PLAIN_ON_TLS = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 53\r\n\r\n"
    b"geheim: The plain HTTP request was sent to HTTPS port"
)


def failure(endpoint: str, open_batcher: Open, caplog: pytest.LogCaptureFixture, **otlp: Any) -> str:
    """Send a span, and return the error, which the log has too; the span waits."""
    batcher = open_batcher(endpoint, **otlp)
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    error = str(batcher.stats().last_error)
    assert batcher.stats().queued == 1
    batcher.shutdown(100)
    assert error in caplog.text
    assert "geheim" not in caplog.text
    assert len(error) < 300, "it would be cut"
    return error


@pytest.mark.parametrize(
    ("scheme", "answer", "words"),
    [
        ("", b"HTTP/1.1 400 geheim\r\nx: geheim\r\n\r\n", f"Set {PROTOCOL}=http/protobuf"),
        ("", b"<!DOCTYPE HTML>geheim", f"Set {PROTOCOL}=http/protobuf"),
        ("", b"H", f"Set {PROTOCOL}=http/protobuf"),
        ("", b"220 geheim ESMTP\r\n", f"Set {PROTOCOL}=http/protobuf"),
        ("", ALERT, f"write https:// in {ENDPOINT}"),
        ("", PLAIN_ON_TLS, f"write https:// in {ENDPOINT}"),
        ("", b"", "closed the connection without an answer"),
        ("http://", SETTINGS, f"Set {PROTOCOL}=grpc"),
        ("http://", SETTINGS + GOAWAY, f"Set {PROTOCOL}=grpc"),
        ("http://", GOAWAY, f"Set {PROTOCOL}=grpc"),
        ("http://", ALERT, f"write https:// in {ENDPOINT}"),
        ("http://", PLAIN_ON_TLS, f"write https:// in {ENDPOINT}"),
        ("http://", b"-ERR geheim\r\n", f"no HTTP is spoken there: look at {ENDPOINT} and {PROTOCOL}"),
        ("http://", b"HTTX geheim\r\n", "no HTTP is spoken there"),
        ("http://", b"", "closed the connection without an answer"),
    ],
)
def test_what_the_answer_shows(
    scheme: str, answer: bytes, words: str, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says what is spoken there, and which variable to set."""

    def script(connection: socket.socket) -> None:
        connection.settimeout(20)
        if scheme:
            with connection.makefile("rb") as requests:
                read_request(requests)
        else:
            connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)

    with Scripted(script) as peer:
        assert words in failure(f"{scheme}127.0.0.1:{peer.port}", open_batcher, caplog)


def test_a_server_that_goes_on_to_wait(open_batcher: Open, caplog: pytest.LogCaptureFixture) -> None:
    """HTTP/2 is seen in its first frame: there is no line to wait for, nor an end."""

    def script(connection: socket.socket) -> None:
        connection.sendall(SETTINGS)
        connection.settimeout(20)
        while connection.recv(65536):
            pass

    with Scripted(script) as peer:
        error = failure(f"http://127.0.0.1:{peer.port}", open_batcher, caplog, timeout_s=3600)
    assert f"Set {PROTOCOL}=grpc" in error


def test_http_to_a_grpc_server(
    grpc_receiver: GrpcReceiver, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A real gRPC server."""
    error = failure(f"http://{grpc_receiver.endpoint}/v1/traces", open_batcher, caplog)
    assert f"HTTP/2 is spoken there: is it the port of OTLP over gRPC? Set {PROTOCOL}=grpc" in error


def test_grpc_to_an_http_server(
    http_receiver: HttpReceiver, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A real HTTP server."""
    error = failure(f"127.0.0.1:{http_receiver.port}", open_batcher, caplog)
    assert (
        f"no HTTP/2 is spoken there: is it the port of OTLP over HTTP? Set {PROTOCOL}=http/protobuf" in error
    )


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_tls_to_plaintext(
    protocol: str, receiver: Any, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """TLS to a port without it."""
    endpoint = f"localhost:{receiver.port}"
    endpoint = endpoint if protocol == "grpc" else f"https://{endpoint}/v1/traces"
    error = failure(endpoint, open_batcher, caplog, insecure=False)
    assert f"no TLS is spoken there: write http:// in {ENDPOINT}" in error


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_plaintext_to_tls(scheme: str, open_batcher: Open, caplog: pytest.LogCaptureFixture) -> None:
    """Plaintext to a port for TLS: an alert says so, or an end without a word may mean it."""
    certificate = trustme.CA().issue_cert("localhost")
    pair = (certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes())
    with GrpcReceiver(credentials=grpc.ssl_server_credentials([pair])) as receiver:
        error = failure(f"{scheme}127.0.0.1:{receiver.port}", open_batcher, caplog)
    assert "https://" in error
    assert ENDPOINT in error


@pytest.mark.parametrize(("offered", "words"), [("h2", "=grpc"), ("http/1.1", "=http/protobuf")])
def test_another_protocol_over_tls(
    offered: str, words: str, tmp_path: Path, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that has another protocol alone says so, or answers in it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols([offered])
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def script(connection: socket.socket) -> None:
        connection.settimeout(20)
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(SETTINGS if offered == "h2" else b"HTTP/1.1 400 geheim\r\n\r\n")
            secure.recv(65536)

    with Scripted(script) as peer:
        endpoint = f"localhost:{peer.port}"
        endpoint = f"https://{endpoint}/v1/traces" if offered == "h2" else endpoint
        certificate = str(tmp_path / "ca.pem")
        assert words in failure(endpoint, open_batcher, caplog, insecure=False, certificate=certificate)


INTERIM = [
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n" * 3,
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\n\r\n",
    b"HTTP/1.1 199 Whatever\r\ncontent-length: 9\r\n\r\n",
]


@pytest.mark.parametrize("interim", INTERIM)
def test_interim_answers(interim: bytes, open_batcher: Open) -> None:
    """An answer of 1xx is not the final one, and the connection stays in use."""

    def script(connection: socket.socket) -> None:
        connection.settimeout(20)
        with connection.makefile("rb") as requests:
            while requests.peek(1):
                read_request(requests)
                connection.sendall(interim + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    with Scripted(script) as peer:
        batcher = open_batcher(f"http://127.0.0.1:{peer.port}/v1/traces")
        for _ in range(3):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
        assert (batcher.stats().last_error, batcher.stats().sent, peer.connections) == (None, 3, 1)
        batcher.shutdown()


def test_switching_protocols_is_final(open_batcher: Open) -> None:
    """Nothing that can be read comes behind it, so it is a refusal."""

    def script(connection: socket.socket) -> None:
        connection.settimeout(20)
        with connection.makefile("rb") as requests:
            read_request(requests)
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n")
            requests.readline()

    with Scripted(script) as peer:
        batcher = open_batcher(f"http://127.0.0.1:{peer.port}/v1/traces")
        batcher.on_end(make_span())
        assert not batcher.force_flush(20_000)
        assert batcher.stats().dropped["rejected"] == 1
        batcher.shutdown()


@pytest.mark.parametrize(("http2", "words"), [(True, "=http/protobuf"), (False, "=grpc")])
def test_no_common_protocol_over_tls(http2: bool, words: str) -> None:
    """A server may refuse the handshake for what is offered."""
    error = ssl.SSLError(1, "no application protocol")
    error.reason = "TLSV1_ALERT_NO_APPLICATION_PROTOCOL"
    assert words in tls_error(error, http2=http2)
