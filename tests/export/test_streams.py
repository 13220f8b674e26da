"""gRPC on HTTP/2: late SETTINGS, reset streams, and whether the connection stays in use."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, SettingsAcknowledged, StreamEnded
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes

from eco2_tracing._export.transport.connection import NO_LIMIT_S
from eco2_tracing._export.transport.grpc import grpc_timeout
from tests.export.receivers import GrpcReceiver, Scripted, eventually
from tests.export.spans import make_span
from tests.export.test_http2 import OK_HEADERS, server, succeed
from tests.support.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.export.conftest import Open

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS = 1


def reset_once(code: int) -> tuple[Any, list[int]]:
    """Return a server script that resets the first stream, and the list of streams that it saw."""
    streams: list[int] = []

    def answer(h2: H2Connection, connection: socket.socket, stream: int) -> None:
        streams.append(stream)
        if len(streams) == 1:
            h2.reset_stream(stream, code)
        else:
            succeed(h2, connection, stream)

    return answer, streams


@pytest.mark.parametrize(
    "code", [code for code in ErrorCodes if code != ErrorCodes.ENHANCE_YOUR_CALM] + [999]
)
def test_a_stream_that_is_reset_is_sent_again(code: int, open_batcher: Open) -> None:
    """A request whose stream is reset is sent again at once, on the same connection unless HTTP/1.1 is required."""
    answer, streams = reset_once(code)
    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None
        assert peer.connections == (2 if code == ErrorCodes.HTTP_1_1_REQUIRED else 1)
        assert len(streams) == 2
        batcher.shutdown()


def test_a_server_that_is_asked_too_much(open_batcher: Open) -> None:
    """ENHANCE_YOUR_CALM makes the spans wait, as a failed try does, and leaves the connection in use."""
    answer, streams = reset_once(ErrorCodes.ENHANCE_YOUR_CALM)
    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert batcher.stats().last_error == "RESOURCE_EXHAUSTED: the stream was reset"
        assert (batcher.stats().sent, peer.connections, streams) == (1, 1, [1, 3])
        batcher.shutdown()


def test_a_stream_that_is_always_refused(open_batcher: Open) -> None:
    """It is sent again once without a pause, then with backoff."""

    def refuse(h2: H2Connection, _: socket.socket, stream: int) -> None:
        h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)

    with Scripted(server(refuse)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert batcher.stats().last_error == "UNAVAILABLE: the stream was reset"
        assert batcher.stats().queued == 1
        batcher.shutdown(100)


def test_a_reset_behind_the_answer(open_batcher: Open) -> None:
    """A reset after the response, sent for an unread request, does not affect the next call."""

    def answer(h2: H2Connection, connection: socket.socket, stream: int) -> None:
        if stream > 1:
            connection.sendall(b"\0\0\4\3\0" + (stream - 2).to_bytes(4, "big") + bytes(4))
        succeed(h2, connection, stream)

    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        for _ in range(3):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
        assert (batcher.stats().last_error, peer.connections) == (None, 1)
        batcher.shutdown()


def test_an_answer_before_the_body_leaves_the_connection_in_use(open_batcher: Open) -> None:
    """The rest of the request is cancelled, and the next one goes over the same connection."""

    def refuse(h2: H2Connection, _: socket.socket, stream: int) -> None:
        h2.send_headers(stream, [*OK_HEADERS, ("grpc-status", "3")], end_stream=True)

    with Scripted(server(refuse, at_headers=True)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        for n in range(2):
            batcher.on_end(make_span(f"s{n}", {"text": ["x" * 1000] * 300}))
            batcher.force_flush(20_000)
        assert batcher.stats().dropped["rejected"] == 2
        assert peer.connections == 1
        batcher.shutdown()


def test_going_away_without_the_call_each_time(open_batcher: Open) -> None:
    """A server that refuses every stream is a failed try, which is reported."""

    def go_away(h2: H2Connection, _: socket.socket, __: int) -> None:
        h2.close_connection(last_stream_id=0)

    with Scripted(server(go_away)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert "before it took the call" in str(batcher.stats().last_error)
        batcher.shutdown(100)


def test_the_first_request_waits_for_settings(open_batcher: Open) -> None:
    """No HEADERS frame is sent before the server's SETTINGS, as some servers demand."""
    first: list[bytes] = []
    serve = server(succeed)

    def script(connection: socket.socket) -> None:
        first.append(connection.recv(65536, socket.MSG_PEEK))
        serve(connection)

    with Scripted(script) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        batcher.shutdown()
    assert first[0].startswith(PREFACE)
    assert HEADERS not in frame_types(first[0].removeprefix(PREFACE))


def frame_types(data: bytes) -> list[int]:
    """The types of the frames in it."""
    types = []
    while data:
        types.append(data[3])
        data = data[9 + int.from_bytes(data[:3], "big") :]
    return types


def scripted_settings(
    react: Callable[[H2Connection, Any], None], *, silent: bool = False, **initial: int
) -> Callable[[socket.socket], None]:
    """Make the script of a server with settings of its own, which ``react`` may change at any event."""

    def script(connection: socket.socket) -> None:
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        h2.update_settings({SettingCodes[name]: value for name, value in initial.items()})
        greeting = h2.data_to_send()
        if not silent:
            connection.sendall(greeting)
        connection.settimeout(20)
        while data := connection.recv(65536):
            for event in h2.receive_data(data):
                react(h2, event)
                if isinstance(event, DataReceived) and event.flow_controlled_length:
                    with suppress(StreamClosedError):
                        h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                if isinstance(event, StreamEnded):
                    succeed(h2, connection, event.stream_id)
            connection.sendall(h2.data_to_send())

    return script


def do_nothing(_: H2Connection, __: Any) -> None:
    """Return no reaction."""


def raising(setting: SettingCodes, value: int) -> Callable[[H2Connection, Any], None]:
    """React to the first acknowledgement of settings with another value."""
    done: list[bool] = []

    def react(h2: H2Connection, event: Any) -> None:
        if isinstance(event, SettingsAcknowledged) and not done:
            done.append(True)
            h2.update_settings({setting: value})

    return react


@pytest.mark.parametrize(
    ("react", "initial"),
    [
        (raising(SettingCodes.MAX_CONCURRENT_STREAMS, 1), {"MAX_CONCURRENT_STREAMS": 0}),
        (do_nothing, {"MAX_CONCURRENT_STREAMS": 1}),
        (raising(SettingCodes.INITIAL_WINDOW_SIZE, 70_000), {"INITIAL_WINDOW_SIZE": 0}),
        (raising(SettingCodes.INITIAL_WINDOW_SIZE, 5_000), {"INITIAL_WINDOW_SIZE": 20_000}),
        (do_nothing, {"MAX_FRAME_SIZE": 1 << 20}),
        (do_nothing, {"HEADER_TABLE_SIZE": 0}),
        (do_nothing, {"MAX_HEADER_LIST_SIZE": 4096}),
        (do_nothing, {"ENABLE_CONNECT_PROTOCOL": 1}),
    ],
)
def test_settings_of_servers(react: Any, initial: dict[str, int], open_batcher: Open) -> None:
    """The server's limits are respected, including changes during a request."""
    with Scripted(scripted_settings(react, **initial)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        for n in range(3):
            batcher.on_end(make_span(f"s{n}", {"text": ["x" * 1000] * 100}))
            assert batcher.force_flush(20_000), batcher.stats()
        assert (batcher.stats().last_error, peer.connections) == (None, 1)
        batcher.shutdown()


def test_a_server_without_settings(open_batcher: Open) -> None:
    """A server that never sends SETTINGS gets the request after a limited wait."""
    with Scripted(scripted_settings(do_nothing, silent=True)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        batcher.shutdown()


@pytest.mark.parametrize(
    ("initial", "words"),
    [({"MAX_CONCURRENT_STREAMS": 0}, "allows no more streams"), ({"INITIAL_WINDOW_SIZE": 0}, "flow control")],
)
def test_a_server_that_lets_nothing_in(initial: dict[str, int], words: str, open_batcher: Open) -> None:
    """Waiting for it ends with the timeout, and the error says what for."""
    with Scripted(scripted_settings(do_nothing, **initial)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}", timeout_s=0.3)
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert words in str(batcher.stats().last_error)
        batcher.shutdown(100)


@pytest.mark.parametrize("status", ["100", "102", "103", "199"])
def test_interim_headers(status: str, open_batcher: Open) -> None:
    """An interim answer is not the final one."""

    def answer(h2: H2Connection, connection: socket.socket, stream: int) -> None:
        h2.send_headers(stream, [(":status", status), ("link", "</x>"), ("grpc-status", "13")])
        succeed(h2, connection, stream)

    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert batcher.stats().last_error is None
        batcher.shutdown()


@pytest.mark.parametrize(
    ("seconds", "value"),
    [
        (-1.0, "1m"),
        (0.0004, "1m"),
        (10.0, "10000m"),
        (99_999.999, "99999999m"),
        (100_000.0, "100000S"),
        (NO_LIMIT_S, None),
        (float("inf"), None),
    ],
)
def test_values_of_grpc_timeout(seconds: float, value: str | None) -> None:
    """The value has at most eight digits; no limit means no header."""
    assert grpc_timeout(seconds) == value


@pytest.mark.parametrize("timeout_s", [float("inf"), float("nan"), 1e300, (2**31 - 1) / 1000, 100_000.0])
def test_long_timeouts(receiver: Any, timeout_s: float, open_batcher: Open) -> None:
    """A timeout that no system call and no header can hold is no limit."""
    batcher = open_batcher(receiver.endpoint, timeout_s=timeout_s, batcher={"export_timeout_s": timeout_s})
    batcher.on_end(make_span())
    assert batcher.force_flush(20_000)
    assert batcher.stats().last_error is None


NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")


@pytest.fixture
def nginx_port(grpc_receiver: GrpcReceiver, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    """A port of nginx in front of a gRPC server, with a directive."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    temporary = " ".join(
        f"{kind}_temp_path {tmp_path}/{kind};" for kind in ("client_body", "proxy", "fastcgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log info; worker_processes 1; "
        f"events {{ }} http {{ access_log off; {temporary} "
        f"uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi; "
        f"server {{ listen 127.0.0.1:{port} http2; {request.param} "
        f"location / {{ grpc_pass grpc://{grpc_receiver.endpoint}; }} }} }}"
    )
    process = subprocess.Popen(
        [NGINX, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: is_open(port))
        yield port
    finally:
        process.terminate()
        process.wait(20)


def is_open(port: int) -> bool:
    """Return whether the port accepts connections."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    "nginx_port", [f"http2_body_preread_size {size};" for size in ("0", "16k", "64k")], indirect=True
)
def test_through_nginx(nginx_port: int, grpc_receiver: GrpcReceiver, open_batcher: Open) -> None:
    """It refuses a request that comes before its SETTINGS are acknowledged, where it reads little in advance."""
    batcher = open_batcher(f"127.0.0.1:{nginx_port}")
    for n in range(3):
        batcher.on_end(make_span(f"s{n}", {"text": ["x" * 1000] * 100}))
        assert batcher.force_flush(20_000)
    assert grpc_receiver.names == ["s0", "s1", "s2"]
    assert batcher.stats().last_error is None
    batcher.shutdown()


def test_a_server_that_goes_away_at_once(open_batcher: Open) -> None:
    """A GOAWAY that comes with the settings makes the request go over another connection."""
    first: list[bool] = []

    def script(connection: socket.socket) -> None:
        if first:
            serve(connection)
            return
        first.append(True)
        h2 = H2Connection(H2Configuration(client_side=False))
        h2.initiate_connection()
        h2.close_connection(last_stream_id=0)
        connection.sendall(h2.data_to_send())
        connection.settimeout(20)
        while connection.recv(65536):
            pass

    serve = server(succeed)
    with Scripted(script) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        batcher.on_end(make_span())
        assert batcher.force_flush(20_000)
        assert (batcher.stats().last_error, peer.connections) == (None, 2)
        batcher.shutdown()


def test_a_status_before_a_reset(open_batcher: Open) -> None:
    """A gRPC status that came counts, though the stream was reset with NO_ERROR instead of ended."""

    def answer(h2: H2Connection, _: socket.socket, stream: int) -> None:
        h2.send_headers(stream, [*OK_HEADERS, ("grpc-status", "0")])
        h2.reset_stream(stream, ErrorCodes.NO_ERROR)

    with Scripted(server(answer)) as peer:
        batcher = open_batcher(f"127.0.0.1:{peer.port}")
        for _ in range(2):
            batcher.on_end(make_span())
            assert batcher.force_flush(20_000)
        assert (batcher.stats().sent, peer.connections) == (2, 1)
        batcher.shutdown()
