"""HTTP/2 as servers and proxies may answer it, however seldom."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes

from tests.export.receivers import BlackHole, Scripted, eventually
from tests.export.spans import make_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.export.conftest import Open

OK_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]
OK_TRAILERS = [("grpc-status", "0")]
MESSAGE = bytes(5)


def server(answer: Callable[[H2Connection, socket.socket, int], None], *, at_headers: bool = False) -> Any:
    """Make a script that reads each request and then calls ``answer``."""

    def script(connection: socket.socket) -> None:
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        connection.sendall(h2.data_to_send())
        connection.settimeout(20)
        while data := connection.recv(65536):
            if h2.state_machine.state is ConnectionState.CLOSED:
                continue  # after its own GOAWAY h2 takes nothing, while the client may still acknowledge
            for event in h2.receive_data(data):
                if isinstance(event, DataReceived) and event.flow_controlled_length:
                    with suppress(StreamClosedError):
                        h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if isinstance(event, RequestReceived if at_headers else StreamEnded):
                    answer(h2, connection, event.stream_id or 0)
            connection.sendall(h2.data_to_send())

    return script


def succeed(h2: H2Connection, _: socket.socket, stream: int) -> None:
    """Answer that all is well."""
    h2.send_headers(stream, OK_HEADERS)
    h2.send_data(stream, MESSAGE)
    h2.send_headers(stream, OK_TRAILERS, end_stream=True)


def send_one(open_batcher: Open, port: int, name: str = "a", size: int = 1000) -> Any:
    """Send one span through a new processor, and return its figures when it met its first fate."""
    batcher = open_batcher(f"127.0.0.1:{port}")
    batcher.on_end(make_span(name, {"text": ["x" * 1000] * (size // 1000)}))
    eventually(lambda: batcher.stats().last_error or batcher.stats().sent)
    stats = batcher.stats()
    batcher.shutdown(500)
    return stats


def test_small_windows(open_batcher: Open) -> None:
    """A body larger than the server's windows is sent piece by piece."""
    with Scripted(server(succeed)) as peer:
        assert send_one(open_batcher, peer.port, size=300_000).sent == 1


def test_an_answer_with_empty_frames(open_batcher: Open) -> None:
    """Frames without content mean nothing."""

    def answer(h2: H2Connection, connection: socket.socket, stream: int) -> None:
        h2.send_headers(stream, OK_HEADERS)
        h2.send_data(stream, b"")
        h2.send_data(stream, MESSAGE)
        h2.send_headers(stream, OK_TRAILERS, end_stream=True)

    with Scripted(server(answer)) as peer:
        assert send_one(open_batcher, peer.port).sent == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCodes.REFUSED_STREAM, "UNAVAILABLE"),
        (ErrorCodes.CANCEL, "CANCELLED"),
        (ErrorCodes.ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED"),
        (ErrorCodes.INADEQUATE_SECURITY, "PERMISSION_DENIED"),
        (ErrorCodes.INTERNAL_ERROR, "INTERNAL"),
        (ErrorCodes.NO_ERROR, "INTERNAL"),
        (0x999, "INTERNAL"),
    ],
)
@pytest.mark.parametrize("at_headers", [True, False])
def test_a_reset_stream(code: Any, status: str, at_headers: bool, open_batcher: Open) -> None:
    """A stream that is broken off has the gRPC status that stands for its code, also in the middle of the body."""

    def reset(h2: H2Connection, _: socket.socket, stream: int) -> None:
        h2.reset_stream(stream, code)

    with Scripted(server(reset, at_headers=at_headers)) as peer:
        stats = send_one(open_batcher, peer.port, size=300_000)
    assert str(stats.last_error) == f"{status}: the stream was reset"


def test_an_answer_before_the_body_is_read(open_batcher: Open) -> None:
    """A server may refuse by the headers alone; the rest is not sent."""

    def refuse(h2: H2Connection, _: socket.socket, stream: int) -> None:
        trailers = [*OK_HEADERS, ("grpc-status", "16"), ("grpc-message", "no%20entry")]
        h2.send_headers(stream, trailers, end_stream=True)
        with suppress(StreamClosedError):
            h2.reset_stream(stream, ErrorCodes.NO_ERROR)

    with Scripted(server(refuse, at_headers=True)) as peer:
        stats = send_one(open_batcher, peer.port, size=300_000)
    assert stats.last_error == "UNAUTHENTICATED: no entry"


@pytest.mark.parametrize(
    ("status", "name"), [("503", "UNAVAILABLE"), ("404", "UNIMPLEMENTED"), ("200", "UNKNOWN")]
)
def test_a_proxys_own_answer(status: str, name: str, open_batcher: Open) -> None:
    """An answer without a gRPC status is judged by its HTTP status."""

    def answer(h2: H2Connection, _: socket.socket, stream: int) -> None:
        h2.send_headers(stream, [(":status", status), ("content-type", "text/plain")])
        h2.send_data(stream, b"x" * 10, end_stream=True)

    with Scripted(server(answer)) as peer:
        stats = send_one(open_batcher, peer.port)
    assert stats.last_error == f"{name}: HTTP {status} without a gRPC status"


def test_a_status_that_is_no_number(open_batcher: Open) -> None:
    """A gRPC status of nonsense is unknown."""

    def answer(h2: H2Connection, _: socket.socket, stream: int) -> None:
        h2.send_headers(stream, [*OK_HEADERS, ("grpc-status", "fine"), ("x-raw", "1")], end_stream=True)

    with Scripted(server(answer)) as peer:
        assert send_one(open_batcher, peer.port).last_error == "UNKNOWN"


def test_going_away_without_the_call(open_batcher: Open) -> None:
    """A server that goes away before it took the call gets it again on another connection."""
    first = threading.Event()

    def answer(h2: H2Connection, connection: socket.socket, stream: int) -> None:
        if first.is_set():
            succeed(h2, connection, stream)
            return
        first.set()
        h2.close_connection(last_stream_id=0)

    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None
        assert peer.connections == 2
        batcher.shutdown()


@pytest.mark.parametrize("noise", [b"\x00\x00\x01\x04\x00\x00\x00\x00\x00\x00", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_noise_between_two_calls(noise: bytes, open_batcher: Open) -> None:
    """A kept connection on which nonsense came in is replaced before it is used again."""

    def answer(h2: H2Connection, connection: socket.socket, stream: int) -> None:
        succeed(h2, connection, stream)
        connection.sendall(h2.data_to_send() + noise)

    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        for _ in range(3):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None
        batcher.shutdown()


def test_nonsense_while_nothing_is_asked(open_batcher: Open) -> None:
    """A kept connection on which nonsense came in later is replaced without a failed try."""
    answered, disturbed = threading.Event(), threading.Event()

    def answer(h2: H2Connection, connection: socket.socket, stream: int) -> None:
        succeed(h2, connection, stream)
        connection.sendall(h2.data_to_send())
        answered.wait(20)
        with suppress(OSError):
            connection.sendall(b"\x00\x00\x01\x04\x00\x00\x00\x00\x00\x00")
        disturbed.set()

    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        answered.set()
        assert disturbed.wait(20)
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None
        batcher.shutdown()


def test_a_kept_connection_broken_under_the_call(open_batcher: Open) -> None:
    """It is replaced at once, without a failed try."""
    calls: list[int] = []

    def answer(h2: H2Connection, connection: socket.socket, stream: int) -> None:
        calls.append(stream)
        if len(calls) == 2:
            raise ConnectionError("told to")
        succeed(h2, connection, stream)

    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        for _ in range(2):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
        assert (len(calls), peer.connections) == (3, 2)
        assert batcher.stats().last_error is None
        batcher.shutdown()


def test_a_call_under_way_is_cancelled(open_batcher: Open) -> None:
    """Shutting down does not wait for a peer that says nothing, nor call it news of the peer."""
    with BlackHole() as hole:
        batcher = open_batcher(f"127.0.0.1:{hole.port}", batcher={"schedule_delay_s": 0.01})
        batcher.on_end(make_span())
        eventually(lambda: batcher._queue.taken)
        assert not batcher.shutdown(100)
    assert batcher.stats().last_error is None
    assert batcher.stats().dropped["shutdown"] == 1
