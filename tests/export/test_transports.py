"""Export to real servers over gRPC and HTTP: delivery, retries and drops."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any, BinaryIO

import grpc
import pytest
import trustme

from tests.export.receivers import (
    BlackHole,
    GrpcReceiver,
    HttpReceiver,
    Received,
    Scripted,
    eventually,
    partial_success,
)
from tests.export.spans import make_span
from tests.support.servers import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.export.conftest import Open

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "later", ())


def test_spans_arrive(receiver: Any, open_batcher: Open) -> None:
    """What is queued arrives in order, with the headers that were asked for."""
    batcher = open_batcher(receiver.endpoint, headers={"Authorization": "Bearer abcdef", "x-tenant": "t1"})
    for n in range(1000):
        batcher.on_end(make_span(f"s{n}"))
    assert batcher.force_flush(20_000)
    assert receiver.names == [f"s{n}" for n in range(1000)]
    headers = receiver.headers[0]
    assert headers["authorization"] == "Bearer abcdef"
    assert headers["x-tenant"] == "t1"
    assert "eco2-tracing/" in headers["user-agent"]
    assert batcher.stats().sent == 1000
    assert batcher.shutdown()


def test_headers_are_in_no_debug_line(
    receiver: Any, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that logs at DEBUG does not log the credentials of its exports, whatever they are sent with."""
    caplog.set_level(logging.DEBUG)
    batcher = open_batcher(receiver.endpoint, headers={"api-key": "geheim"})
    for _ in range(2):
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
    assert receiver.headers[0]["api-key"] == "geheim"
    assert "geheim" not in caplog.text


def test_http_request_line(http_receiver: HttpReceiver, open_batcher: Open) -> None:
    """The body is posted as protobuf to the whole path, query included, over a connection that is kept."""
    batcher = open_batcher(http_receiver.endpoint + "?k=v")
    for _ in range(3):
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
    assert http_receiver.headers[0][":path"] == "/v1/traces?k=v"
    assert http_receiver.headers[0]["content-type"] == "application/x-protobuf"


def test_gzip(receiver: Any, open_batcher: Open) -> None:
    """Servers decode compressed requests."""
    batcher = open_batcher(receiver.endpoint, compression="gzip")
    batcher.on_end(make_span("zipped"))
    assert batcher.force_flush(20_000)
    assert receiver.names == ["zipped"]


def test_large_batches_are_split(receiver: Any, open_batcher: Open) -> None:
    """Spans of more than 4 MiB arrive in several requests, none of which the server refuses."""
    batcher = open_batcher(receiver.endpoint)
    for n in range(300):
        batcher.on_end(make_span(f"s{n}", {f"k{i}": "x" * 10_000 for i in range(3)}))
    assert batcher.force_flush(30_000)
    assert len(receiver.names) == 300
    assert len(receiver.requests) >= 3


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c.name != "OK"], ids=lambda code: code.name)
def test_each_grpc_error(grpc_receiver: GrpcReceiver, open_batcher: Open, code: grpc.StatusCode) -> None:
    """Each status that the specification calls retryable is tried again, others are counted."""
    grpc_receiver.faults.append((code, "because", ()))
    batcher = open_batcher(grpc_receiver.endpoint)
    batcher.on_end(make_span("first"))
    arrived = batcher.force_flush(20_000)
    stats = batcher.stats()
    assert arrived == (sum(stats.dropped.values()) == 0)
    assert stats.last_error == f"{code.name}: because"
    assert stats.last_error_at is not None
    batcher.on_end(make_span("second"))
    assert batcher.force_flush(20_000)
    assert grpc_receiver.names == (["first", "second"] if arrived else ["second"])


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 502, 503, 504, 307])
def test_each_http_error(http_receiver: HttpReceiver, open_batcher: Open, status: int) -> None:
    """The same for HTTP statuses; a redirect is not followed."""
    http_receiver.faults.append((status, {"location": "http://127.0.0.1:9/", "retry-after": "0"}))
    batcher = open_batcher(http_receiver.endpoint)
    batcher.on_end(make_span("first"))
    arrived = batcher.force_flush(20_000)
    assert arrived == (status in (429, 502, 503, 504))
    assert f"HTTP {status}" in str(batcher.stats().last_error)
    batcher.on_end(make_span("second"))
    assert batcher.force_flush(20_000)
    assert http_receiver.names == (["first", "second"] if arrived else ["second"])


def test_partial_success_is_counted(receiver: Any, open_batcher: Open) -> None:
    """Spans that the server rejects are dropped, the others sent; a claim of more than there were is cut."""
    receiver.faults.extend([partial_success(2, "too old"), partial_success(99, "what?")])
    batcher = open_batcher(receiver.endpoint)
    for _ in range(5):
        batcher.on_end(make_span())
    assert not batcher.force_flush(20_000)
    assert (batcher.stats().sent, batcher.stats().dropped["rejected"]) == (3, 2)
    assert batcher.stats().last_error == "partial success, 2 spans rejected: too old"
    batcher.on_end(make_span())
    assert not batcher.force_flush(20_000)
    assert (batcher.stats().sent, batcher.stats().dropped["rejected"]) == (3, 3)


def test_a_warning_is_no_loss(receiver: Any, open_batcher: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A message of a receiver that accepted everything is no failure, and is logged."""
    receiver.faults.append(partial_success(0, "the clock is off"))
    batcher = open_batcher(receiver.endpoint)
    batcher.on_end(make_span())
    assert batcher.force_flush(20_000)
    assert batcher.stats().sent == 1
    assert "the clock is off" in str(batcher.stats().last_error)
    assert "accepts the spans with a message" in caplog.text


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_nobody_listens_then_somebody_does(scheme: str, open_batcher: Open) -> None:
    """Spans wait while there is no collector, and arrive when there is."""
    port = free_port()
    kind: Any = GrpcReceiver if scheme == "grpc" else HttpReceiver
    batcher = open_batcher(f"127.0.0.1:{port}" if scheme == "grpc" else f"http://127.0.0.1:{port}/v1/traces")
    batcher.on_end(make_span("early"))
    eventually(lambda: batcher.stats().last_error)
    assert "refused" in str(batcher.stats().last_error)
    assert batcher.stats().queued == 1
    with kind(port) as receiver:
        assert batcher.force_flush(20_000)
        assert receiver.names == ["early"]
        batcher.shutdown()


def test_a_restarted_server_is_found_at_once(open_batcher: Open) -> None:
    """A kept connection that the server closed costs no failed try."""
    port = free_port()
    batcher = None
    for name in ("first", "second"):
        with GrpcReceiver(port) as receiver:
            batcher = batcher or open_batcher(receiver.endpoint)
            batcher.on_end(make_span(name))
            assert batcher.force_flush(20_000)
            assert receiver.names == [name]
    assert batcher
    assert batcher.stats().last_error is None


def test_a_connection_that_may_get_old(open_batcher: Open) -> None:
    """A server that ends connections by age (GOAWAY) loses nothing and gets nothing twice."""
    options = (("grpc.max_connection_age_ms", 20), ("grpc.max_connection_age_grace_ms", 5000))
    with GrpcReceiver(options=options) as receiver:
        batcher = open_batcher(receiver.endpoint)
        for n in range(200):
            batcher.on_end(make_span(f"s{n}"))
            assert batcher.force_flush(20_000)
        assert receiver.names == [f"s{n}" for n in range(200)]
        batcher.shutdown()


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_black_hole(scheme: str, open_batcher: Open) -> None:
    """A peer that accepts connections and does not respond times out, and the request is retried."""
    with BlackHole() as hole:
        host = f"127.0.0.1:{hole.port}"
        batcher = open_batcher(host if scheme == "grpc" else f"http://{host}/v1/traces", timeout_s=0.2)
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert "timed out" in str(batcher.stats().last_error)
        assert not batcher.shutdown(300)
        assert batcher.stats().dropped["shutdown"] == 1


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_dripping_peer(scheme: str, open_batcher: Open) -> None:
    """A peer that sends single bytes does not extend the deadline."""
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        while not done.wait(0.02):
            connection.sendall(b"\x00" if scheme == "grpc" else b"H")

    with Scripted(drip) as peer:
        host = f"127.0.0.1:{peer.port}"
        batcher = open_batcher(host if scheme == "grpc" else f"http://{host}/v1/traces", timeout_s=0.3)
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        error = str(batcher.stats().last_error)
        batcher.shutdown(100)
        done.set()
    assert any(words in error for words in ("timed out", "HTTP"))


_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
_PING = b"\0\0\x08\6\0\0\0\0\0" + b"\0" * 8
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(("scheme", "first", "again"), [("", _SETTINGS, _PING), ("http://", b"", _CONTINUE)])
def test_a_peer_that_talks_without_end(scheme: str, first: bytes, again: bytes, open_batcher: Open) -> None:
    """An endless response is aborted at a size limit."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(again * 1000)

    with Scripted(talk) as peer:
        batcher = open_batcher(f"{scheme}127.0.0.1:{peer.port}", timeout_s=3600)
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert batcher.stats().queued == 1
        batcher.shutdown(100)
    assert "no end" in str(batcher.stats().last_error)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        b"\x00\x00\x00\x04\x01\x00\x00\x00\x00",
        b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00",
        b"",
    ],
    ids=["http1", "broken-settings", "bad-frame-size", "nothing"],
)
def test_something_else_on_the_grpc_port(answer: bytes, open_batcher: Open) -> None:
    """A peer that does not speak HTTP/2 is reported, and the spans stay queued."""

    def script(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with Scripted(script) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert batcher.stats().queued == 1
        batcher.shutdown(100)
    error = str(batcher.stats().last_error)
    assert any(words in error for words in ("HTTP/2", "closed the connection", "reset", "Broken pipe"))


def test_something_else_on_the_http_port(grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """HTTP to a gRPC port is a reported failure."""
    batcher = open_batcher(f"http://{grpc_receiver.endpoint}/v1/traces")
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    assert not batcher.shutdown(500)


def test_the_service_is_not_there(open_batcher: Open) -> None:
    """A gRPC server without the trace service says so, and the spans are dropped."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    batcher = open_batcher(f"127.0.0.1:{port}")
    batcher.on_end(make_span())
    assert not batcher.force_flush(20_000)
    assert batcher.stats().dropped["rejected"] == 1
    server.stop(None).wait()


def test_credentials_stay_out_of_errors(
    grpc_receiver: GrpcReceiver, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A server's message is logged without secrets, without line breaks and truncated."""
    echo = "bad token s3cr3t-token\nforged line " + "x" * 5000
    grpc_receiver.faults.append((grpc.StatusCode.UNAUTHENTICATED, echo, ()))
    batcher = open_batcher(grpc_receiver.endpoint, headers={"authorization": "Bearer s3cr3t-token"})
    batcher.on_end(make_span())
    assert not batcher.force_flush(20_000)
    shown = caplog.text + repr(batcher.stats()) + repr(batcher)
    assert "s3cr3t" not in shown
    assert "bad token *** forged" in shown
    assert len(str(batcher.stats().last_error)) <= 300
    assert batcher.stats().dropped["unauthenticated"] == 1
    assert "(0 queued, 1 dropped so far); they are dropped: look at OTEL_EXPORTER_OTLP_HEADERS" in shown
    assert "retrying" not in shown


def test_headers_that_cannot_be_sent(
    receiver: Any, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A header that would break the request is left out, with a warning that does not show its value."""
    headers = {
        "bad name": "v",
        "x-bad": "s3cr3t\r\nx: y",
        "host": "elsewhere",
        "x-good": "yes",
        "x-utf": "s3cr3té",
    }
    batcher = open_batcher(receiver.endpoint, headers=headers)
    batcher.on_end(make_span())
    assert batcher.force_flush(20_000)
    assert receiver.headers[0]["x-good"] == "yes"
    assert not {"x-bad", "bad name", "x-utf"} & set(receiver.headers[0])
    assert "'x-bad'" in caplog.text
    assert "s3cr3t" not in caplog.text


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_http_connections_that_close(protocol: str, open_batcher: Open) -> None:
    """A server that closes after each answer gets the next request on a new connection."""
    with HttpReceiver(protocol=protocol) as receiver:
        batcher = open_batcher(receiver.endpoint)
        for _ in range(3):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None


def read_request(requests: BinaryIO) -> None:
    """Read one request over HTTP/1.1 to its end."""
    length = 0
    while (line := requests.readline().lower()).strip():
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    requests.read(length)


def test_http_kept_connection_closed_meanwhile(open_batcher: Open) -> None:
    """A kept connection that the server closed is replaced before it is used again."""
    closed = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.settimeout(20)
        with connection.makefile("rb") as requests:
            read_request(requests)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        closed.set()
        assert connection.recv(1) == b""

    with Scripted(script) as peer:
        batcher = open_batcher(f"http://127.0.0.1:{peer.port}/v1/traces")
        for _ in range(2):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
            assert closed.wait(20)
        assert peer.connections == 2
        assert batcher.stats().last_error is None
        batcher.shutdown()


def test_http_kept_connection_broken_under_the_request(open_batcher: Open) -> None:
    """A kept connection that breaks while it is used is replaced at once."""

    def script(connection: socket.socket) -> None:
        connection.settimeout(20)
        with connection.makefile("rb") as requests:
            read_request(requests)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            requests.readline()

    with Scripted(script) as peer:
        batcher = open_batcher(f"http://127.0.0.1:{peer.port}/v1/traces")
        for _ in range(2):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
        assert peer.connections == 2
        assert batcher.stats().last_error is None
        batcher.shutdown()


def test_unix_socket(tmp_path: Path, open_batcher: Open) -> None:
    """A gRPC target may be a Unix socket."""
    with GrpcReceiver(address=f"unix:{tmp_path}/otlp.sock") as receiver:
        batcher = open_batcher(f"unix://{tmp_path}/otlp.sock", protocol="grpc")
        batcher.on_end(make_span("local"))
        assert batcher.force_flush(20_000)
        assert receiver.names == ["local"]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A private certificate authority."""
    return trustme.CA()


def certificates(authority: trustme.CA, path: Path) -> dict[str, str]:
    """Write the files that a client needs."""
    client = authority.issue_cert("client@example.com")
    authority.cert_pem.write_to_path(str(path / "ca.pem"))
    client.cert_chain_pems[0].write_to_path(str(path / "client.pem"))
    client.private_key_pem.write_to_path(str(path / "client.key"))
    return {
        "certificate": str(path / "ca.pem"),
        "client_certificate": str(path / "client.pem"),
        "client_key": str(path / "client.key"),
    }


def secure_receiver(kind: str, authority: trustme.CA) -> Any:
    """Start a receiver that wants client certificates."""
    server = authority.issue_cert("localhost")
    if kind == "grpc":
        pair = (server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())
        return GrpcReceiver(credentials=grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), True))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return HttpReceiver(context=context)


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_tls_with_client_certificates(
    kind: str, authority: trustme.CA, tmp_path: Path, open_batcher: Open
) -> None:
    """A private authority is trusted and our own certificate shown, over a connection that is kept."""
    files = certificates(authority, tmp_path)
    with secure_receiver(kind, authority) as receiver:
        endpoint = receiver.endpoint.replace("127.0.0.1", "localhost")
        batcher = open_batcher(endpoint, insecure=False, **files)
        for _ in range(2):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
        assert len(receiver.names) == 2
        assert batcher.stats().last_error is None
        batcher.shutdown()


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_a_certificate_that_appears_later(
    kind: str, authority: trustme.CA, tmp_path: Path, open_batcher: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is missing is named in the log; once it is there, the waiting spans arrive."""
    files = certificates(authority, tmp_path)
    (tmp_path / "ca.pem").rename(tmp_path / "later.pem")
    with secure_receiver(kind, authority) as receiver:
        batcher = open_batcher(receiver.endpoint.replace("127.0.0.1", "localhost"), insecure=False, **files)
        batcher.on_end(make_span())
        eventually(lambda: "OTEL_EXPORTER_OTLP_CERTIFICATE" in caplog.text)
        assert "ca.pem" in caplog.text
        (tmp_path / "later.pem").rename(tmp_path / "ca.pem")
        assert batcher.force_flush(20_000)
        batcher.shutdown()


def test_an_untrusted_server(authority: trustme.CA, open_batcher: Open) -> None:
    """A certificate of an unknown authority is refused."""
    with secure_receiver("grpc", authority) as receiver:
        batcher = open_batcher(receiver.endpoint.replace("127.0.0.1", "localhost"), insecure=False)
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert "CERTIFICATE_VERIFY_FAILED" in str(batcher.stats().last_error)
        batcher.shutdown(100)


@pytest.mark.parametrize("spoiled", ["client_certificate", "client_key"])
def test_unusable_client_certificates(
    spoiled: str, authority: trustme.CA, tmp_path: Path, open_batcher: Open
) -> None:
    """A certificate or key that cannot be used is named by variable and file."""
    files = certificates(authority, tmp_path)
    files[spoiled] = files["certificate"] if spoiled == "client_key" else str(tmp_path / "none.pem")
    batcher = open_batcher("localhost:1", insecure=False, **files)
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    assert "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE" in str(batcher.stats().last_error)
    assert files[spoiled] in str(batcher.stats().last_error)
    batcher.shutdown(100)


def tunnel(received: list[bytes], answer: bytes) -> Any:
    """Make the script of a proxy that connects where it is asked to."""

    def script(connection: socket.socket) -> None:
        request = connection.recv(65536)
        received.append(request)
        connection.sendall(answer)
        if b" 200 " not in answer:
            return
        host, port = request.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as upstream:
            back = threading.Thread(target=pump, args=(upstream, connection))
            back.start()
            pump(connection, upstream)
            back.join()

    return script


def pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until the end."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_grpc_through_a_proxy(
    grpc_receiver: GrpcReceiver, open_batcher: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment is asked for a tunnel, with its credentials, unless the host is excepted."""
    asked: list[bytes] = []
    with Scripted(tunnel(asked, b"HTTP/1.1 200 OK\r\n\r\n")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        batcher = open_batcher(grpc_receiver.endpoint)
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        batcher.shutdown()
        assert asked[0].startswith(f"CONNECT {grpc_receiver.endpoint} HTTP/1.1\r\n".encode())
        assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in asked[0]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        direct = open_batcher(grpc_receiver.endpoint)
        direct.on_end(make_span())
        assert direct.force_flush(20_000)
        assert len(asked) == 1


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"", b"x" * 20_000])
def test_a_proxy_that_refuses(answer: bytes, open_batcher: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses is reported, and the spans stay queued."""
    with Scripted(tunnel([], answer)) as proxy:
        monkeypatch.setenv("grpc_proxy", f"127.0.0.1:{proxy.port}")
        batcher = open_batcher("[::1]:4317")
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        error = str(batcher.stats().last_error)
        batcher.shutdown(100)
    assert any(words in error for words in ("the proxy", "reset"))


def test_http_through_a_proxy(
    http_receiver: HttpReceiver, open_batcher: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plaintext HTTP is given to the proxy with the whole URL."""
    monkeypatch.setenv("http_proxy", f"http://u:p@localhost:{http_receiver.port}")
    batcher = open_batcher("http://collector.example/v1/traces")
    batcher.on_end(make_span())
    assert batcher.force_flush(20_000)
    headers = http_receiver.headers[0]
    assert headers[":path"] == "http://collector.example/v1/traces"
    assert headers["host"] == "collector.example"
    assert headers["proxy-authorization"] == "Basic dTpw"


def test_an_unknown_host(open_batcher: Open) -> None:
    """A name that does not resolve is reported."""
    batcher = open_batcher("collector.invalid:4317")
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    assert not batcher.shutdown(3000)


def test_a_server_in_no_hurry(receiver: Received, open_batcher: Any) -> None:
    """Shutdown aborts a call that takes too long, and counts the dropped spans."""
    receiver.gate = threading.Event()
    batcher = open_batcher(receiver.endpoint)  # type: ignore[attr-defined]  # both kinds have it
    batcher.on_end(make_span())
    eventually(lambda: receiver.attempts)
    assert not batcher.shutdown(200)
    assert batcher.stats().dropped["shutdown"] == 1
    eventually(lambda: not [t for t in threading.enumerate() if t.name == "eco2-tracing-export"])
