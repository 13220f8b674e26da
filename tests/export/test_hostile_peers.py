"""Transports return a result for every fault of the peer, the libraries and the environment."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from h2.connection import H2Connection
from hpack import Encoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eco2_tracing._export import build_otlp
from eco2_tracing._export.result import ExportResult, success
from eco2_tracing._settings.otlp import OtlpSettings
from tests.export.receivers import GrpcReceiver, HttpReceiver, Scripted, eventually
from tests.export.spans import make_span
from tests.export.test_http2 import server, succeed
from tests.export.test_transports import read_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.export.conftest import Open

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
HUGE = "9" * 5000
fuzzed = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

names = st.sampled_from(
    [":status", "grpc-status", "grpc-message", "content-type", "content-length", "retry-after",
     "grpc-status-details-bin", "google.rpc.retryinfo-bin", "transfer-encoding", "connection", "X-Upper", "", "a b",
     ":path", "te", "content-encoding", "trailer"]
)  # fmt: skip
values = st.sampled_from(
    ["200", "2OO", "", "-1", "0", "00", "13", "100", "103", "099", "1e3", HUGE, "\u0663", "%FF%zz", "%", "nan", "inf",
     "Wed, 99 Foo 99999 99:99:99 GMT", "Mon, 01 Jan 0001 00:00:00", "chunked", "gzip", "AAAA", "=", "close", "x" * 9000]
) | st.text(max_size=20)  # fmt: skip
pairs = st.lists(st.tuples(names, values), max_size=6)


def header_block(headers: list[tuple[str, str]]) -> bytes:
    """Encode headers as a server would, whatever they hold."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return bytes(encoder.encode([(name.encode(), value.encode()) for name, value in headers]))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Make one frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


frames = st.one_of(
    st.builds(frame, st.integers(0, 12), st.integers(0, 255), st.sampled_from([0, 1, 2, 3]), st.binary(max_size=40)),
    st.builds(
        lambda end, headers: frame(1, 4 | end, 1, header_block(headers)), st.sampled_from([0, 1]), pairs
    ),
    st.builds(
        lambda end, headers: frame(1, 4 | end, 1, header_block([(":status", "200"), *headers])),
        st.sampled_from([0, 1]),
        pairs,
    ),
    st.builds(lambda code: frame(3, 0, 1, code.to_bytes(4, "big")), st.integers(0, 20)),
    st.builds(lambda last, code: frame(7, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big")),
              st.sampled_from([0, 1, 2**31 - 1]), st.integers(0, 20)),
    st.just(frame(4, 1, 0, b"")),
)  # fmt: skip
lines = st.one_of(
    st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 103 Hints", b"HTTP/1.1 100", b"HTTP/1.1 99999 x", b"HTTP/9.9 200",
                     b"HTTP/1.1 " + HUGE.encode(), b"HTTP/1.1 200OK", b"HTTP/1.1", b"HTTP/1.0 503 x", b"", b"0", b"zz",
                     b"ffffffffffffffffff", HUGE.encode(), b": x", b" folded", b"x" * 70_000]),
    st.builds(lambda name, value: f"{name}: {value}".encode(), names, values),
    st.binary(max_size=30),
)  # fmt: skip


class Peer(Scripted):
    """A server that reads a request and answers with what is set, and closes.

    Args:
        http: It reads HTTP/1.1 requests.
    """

    def __init__(self, *, http: bool) -> None:
        super().__init__(self._speak)
        self._http = http
        self.greets = True
        self.answer = b""

    def _speak(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        if self._http:
            with connection.makefile("rb") as requests:
                read_request(requests)
        elif self.greets:
            connection.sendall(frame(4, 0, 0, b""))
            received = b""
            while received[-9:-4] != b"\0\0\0\0\1":  # an empty frame of data that ends the stream
                if not (data := connection.recv(65536)):
                    return
                received += data
        else:
            connection.recv(65536)
        connection.sendall(self.answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


@pytest.fixture(scope="module")
def grpc_peer() -> Iterator[Peer]:
    """A peer that is called over HTTP/2."""
    with Peer(http=False) as peer:
        yield peer


@pytest.fixture(autouse=True)
def _greeting(grpc_peer: Peer) -> None:
    """Begin as servers do, unless a test changes that."""
    grpc_peer.greets = True


@pytest.fixture(scope="module")
def http_peer() -> Iterator[Peer]:
    """A peer that is called over HTTP/1.1."""
    with Peer(http=True) as peer:
        yield peer


def send(endpoint: str, timeout_s: float = 5.0, **otlp: Any) -> ExportResult:
    """Send a request with a new transport, once."""
    protocol: Any = "http/protobuf" if endpoint.startswith("http") else "grpc"
    exporter = build_otlp(OtlpSettings(protocol=protocol, endpoint=endpoint, **otlp))
    try:
        return exporter._transport.send(b"", timeout_s)
    finally:
        exporter.close()


@fuzzed
@given(st.lists(frames, max_size=8), st.booleans())
def test_any_frames(grpc_peer: Peer, answer: list[bytes], greeted: bool) -> None:
    """Frames of any kind, in any order, with any headers."""
    grpc_peer.greets, grpc_peer.answer = greeted, b"".join(answer)
    assert isinstance(send(f"127.0.0.1:{grpc_peer.port}"), ExportResult)


@fuzzed
@given(st.binary(max_size=100))
def test_any_bytes(grpc_peer: Peer, http_peer: Peer, answer: bytes) -> None:
    """Bytes of no protocol at all."""
    grpc_peer.greets, grpc_peer.answer = False, answer
    http_peer.answer = answer
    assert isinstance(send(f"127.0.0.1:{grpc_peer.port}"), ExportResult)
    assert isinstance(send(f"http://127.0.0.1:{http_peer.port}/"), ExportResult)


@fuzzed
@given(st.lists(lines, max_size=8), st.sampled_from([b"\r\n", b"\n"]), st.binary(max_size=20))
def test_any_lines(http_peer: Peer, head: list[bytes], end: bytes, body: bytes) -> None:
    """Lines of any kind, as a status, as headers and as chunks."""
    http_peer.answer = end.join([*head, b"", body])
    assert isinstance(send(f"http://127.0.0.1:{http_peer.port}/"), ExportResult)


@fuzzed
@given(st.lists(lines, max_size=6))
def test_any_headers(http_peer: Peer, head: list[bytes]) -> None:
    """Headers of any kind behind a status that is right."""
    for status in (b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Later"):
        http_peer.answer = b"\r\n".join([status, *head, b"", b"5\r\nabcde\r\n0\r\n\r\n"])
        assert isinstance(send(f"http://127.0.0.1:{http_peer.port}/"), ExportResult)


@pytest.mark.parametrize("status", ["2OO", "", "-20", "20", "099", "1e2", "\u0662\u0660\u0660", HUGE])
def test_a_status_that_is_none(status: str, grpc_peer: Peer) -> None:
    """The spans wait: it says nothing of them."""
    grpc_peer.answer = frame(1, 5, 1, header_block([(":status", status)]))
    reply = send(f"127.0.0.1:{grpc_peer.port}")
    assert reply.outcome == "retry"
    assert (
        "not a number of three digits" in reply.error or status == "1e2"
    )  # which h2 takes for an interim one


@pytest.mark.parametrize("status", [HUGE, "fine", "-1", "\u0661", ""])
def test_a_grpc_status_that_is_none(status: str, grpc_peer: Peer) -> None:
    """It is UNKNOWN."""
    headers = [(":status", "200"), ("grpc-status", status), ("grpc-message", "%FF%zz")]
    grpc_peer.answer = frame(1, 5, 1, header_block(headers))
    assert send(f"127.0.0.1:{grpc_peer.port}") == ExportResult("dropped", "UNKNOWN: \ufffd%zz", "rejected")


def test_a_message_that_claims_to_be_compressed(grpc_peer: Peer) -> None:
    """Nothing is read from it; the status counts."""
    block = header_block([(":status", "200")])
    grpc_peer.answer = b"".join(
        [frame(1, 4, 1, block), frame(0, 0, 1, b"\1\0\0\0\2\x0a\0"),
         frame(1, 5, 1, header_block([("grpc-status", "0")]))]
    )  # fmt: skip
    assert send(f"127.0.0.1:{grpc_peer.port}") == success(b"")


@pytest.mark.parametrize(
    "head",
    ["content-length: " + HUGE, "content-length: -5", "content-length: x", "content-length: 100",
     "transfer-encoding: chunked", "content-encoding: gzip", "x: " + "y" * 70_000],
)  # fmt: skip
def test_a_body_that_cannot_be_read(head: str, http_peer: Peer) -> None:
    """The status counts: sending accepted spans again would duplicate them."""
    http_peer.answer = f"HTTP/1.1 200 OK\r\n{head}\r\n\r\nzz\r\n".encode()
    reply = send(f"http://127.0.0.1:{http_peer.port}/")
    assert reply.outcome == ("retry" if "yyy" in head else "sent")


ERRORS = [RecursionError, MemoryError, ValueError, KeyError, AssertionError, NotImplementedError, StopIteration,
          UnicodeDecodeError("utf-8", b"geheim", 0, 1, "geheim"), OverflowError]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS)
def test_errors_of_the_http2_library(error: Any, open_batcher: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spans wait, the error names the type, and the connection is replaced."""
    real = H2Connection.receive_data

    def fail(self: H2Connection, data: bytes) -> Any:
        if self.config.client_side:
            raise error
        return real(self, data)

    with Scripted(server(succeed)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        monkeypatch.setattr(H2Connection, "receive_data", fail)
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert (error if isinstance(error, type) else type(error)).__name__ in str(batcher.stats().last_error)
        assert "geheim" not in str(batcher.stats().last_error)
        monkeypatch.undo()
        assert batcher.force_flush(20_000)
        batcher.shutdown()


@pytest.mark.parametrize("error", [*ERRORS, UnicodeError("label too long"), socket.gaierror(-2, "unknown")])
@pytest.mark.parametrize("name", ["getaddrinfo", "socket"])
def test_errors_of_the_environment(
    name: str, error: Any, receiver: Any, open_batcher: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever looking up a name or opening a socket raises, the spans wait."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        batcher = open_batcher(receiver.endpoint)
        patch.setattr(socket, name, fail)
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert batcher.stats().queued == 1
    assert batcher.force_flush(20_000)


@pytest.mark.parametrize(
    "error", [*ERRORS, ssl.SSLError("bad"), ssl.SSLCertVerificationError("bad"), OSError(5, "x")]
)
def test_errors_of_the_tls_library(
    error: Any, receiver: Any, open_batcher: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever building a context raises, the spans wait."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    endpoint = receiver.endpoint.replace("http:", "https:")
    batcher = open_batcher(endpoint, insecure=False)
    monkeypatch.setattr(ssl, "create_default_context", fail)
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    assert batcher.stats().queued == 1
    batcher.shutdown(100)


@pytest.mark.parametrize(
    "path", ["/no/such/file", "", "\udce4.pem", "x" * 5000, "directory", "empty", "binary"]
)
@pytest.mark.parametrize("name", ["certificate", "client_certificate"])
def test_certificate_files(name: str, path: str, tmp_path: Path, open_batcher: Open) -> None:
    """Whatever is in their place, the spans wait."""
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(os.urandom(100))
    paths = {"directory": str(tmp_path), "empty": str(tmp_path / "empty"), "binary": str(tmp_path / "binary")}
    with HttpReceiver() as receiver:
        batcher = open_batcher(
            receiver.endpoint.replace("http:", "https:"), insecure=False, **{name: paths.get(path, path)}
        )
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert batcher.stats().queued == 1
        batcher.shutdown(100)


@pytest.mark.parametrize(
    "target", ["unix:/x\0y", "unix:" + "x" * 500, "unix:/no/such.sock", "unix-abstract:" + "x" * 500, "unix:/\udce4",
               "a" * 70 + ".example:1", "xn--\u00e4:1", "localhost:1"],
)  # fmt: skip
@pytest.mark.parametrize("insecure", [True, False])
def test_targets_that_nobody_can_call(target: str, insecure: bool) -> None:
    """They are failed tries."""
    reply = send(target, insecure=insecure)
    assert (reply.outcome, bool(reply.error)) == ("retry", True)


def test_a_receiver_that_is_right() -> None:
    """The harness of these tests delivers where nothing is wrong."""
    with GrpcReceiver() as grpc_receiver, HttpReceiver() as http_receiver:
        assert send(grpc_receiver.endpoint).outcome == "sent"
        assert send(http_receiver.endpoint).outcome == "sent"
