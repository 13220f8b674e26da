"""Connections that fail, break or are never established."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from eco2_tracing._export.transport.connect import Connector
from eco2_tracing._export.transport.connection import Connection
from eco2_tracing._settings.hosts import Address
from tests.export.receivers import BlackHole, Scripted, eventually, unreachable
from tests.export.spans import make_span

if TYPE_CHECKING:
    from pathlib import Path

    from tests.export.conftest import Open

RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def test_a_connection_that_was_reset_is_seen_without_waiting() -> None:
    """A reset connection reads as closed."""

    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)

    seen: list[bytes | None] = [None]
    with Scripted(reset) as peer, socket.create_connection(("127.0.0.1", peer.port)) as sock:
        connection = Connection(sock)

        def broken() -> bool:
            seen.append(connection.glance())
            return seen[-1] is not None

        eventually(broken)
    assert seen[-1] == b""


def test_a_peer_that_talks_between_calls_is_left() -> None:
    """Bytes that arrive while idle are read, up to a limit, before the connection is used again."""

    def talk(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"x" * 65536)

    with Scripted(talk) as peer, socket.create_connection(("127.0.0.1", peer.port)) as sock:
        connection = Connection(sock)
        eventually(lambda: connection.glance() == b"")


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_shutdown_while_a_connection_is_opened(scheme: str, open_batcher: Open) -> None:
    """Shutdown aborts a connection attempt that hangs."""
    with unreachable() as port:
        host = f"127.0.0.1:{port}"
        endpoint = host if scheme == "grpc" else f"http://{host}/v1/traces"
        batcher = open_batcher(endpoint, timeout_s=3600, batcher={"export_timeout_s": 3600})
        batcher.on_end(make_span())
        connector = batcher._batch_exporter._transport._shared.transport._connector  # type: ignore[attr-defined]  # that of both transports
        eventually(lambda: connector._race.pending)
        assert not batcher.shutdown(100)
        assert batcher.stats().dropped["shutdown"] == 1
        eventually(lambda: not [t for t in threading.enumerate() if t.name == "eco2-tracing-export"])


def test_nothing_is_opened_any_more_after_an_abort() -> None:
    """After an abort, every further attempt fails at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connector = Connector((Address("127.0.0.1", server.getsockname()[1]),), None, ())
        connector.abort()
        with pytest.raises(TimeoutError):
            connector.open(time.monotonic() + 20)


def test_an_encrypted_key_is_refused(tmp_path: Path, open_batcher: Open) -> None:
    """An encrypted key is an error; OpenSSL does not ask for a password on the terminal."""
    client = trustme.CA().issue_cert("client@example.com")
    key = load_pem_private_key(client.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "client.key").write_bytes(pem)
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    batcher = open_batcher(
        "localhost:1",
        insecure=False,
        client_certificate=str(tmp_path / "client.pem"),
        client_key=str(tmp_path / "client.key"),
    )
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    assert "the key is encrypted" in str(batcher.stats().last_error)
    batcher.shutdown(100)


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_name_that_cannot_be_one(scheme: str, open_batcher: Open) -> None:
    """A name that cannot be encoded is reported as an export error, and the spans stay queued."""
    name = "a" * 64 + ".example:4317"
    batcher = open_batcher(name if scheme == "grpc" else f"http://{name}/v1/traces")
    batcher.on_end(make_span())
    eventually(lambda: batcher.stats().last_error)
    assert "is not a host name" in str(batcher.stats().last_error)
    assert batcher.stats().queued == 1
    batcher.shutdown(100)


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_shutdown_during_a_handshake(protocol: str, open_batcher: Open) -> None:
    """Shutdown aborts a TLS handshake that hangs."""
    with BlackHole() as hole:
        host = f"127.0.0.1:{hole.port}"
        endpoint = host if protocol == "grpc" else f"https://{host}/v1/traces"
        batcher = open_batcher(endpoint, timeout_s=3600, insecure=False, batcher={"export_timeout_s": 3600})
        batcher.on_end(make_span())
        connector = batcher._batch_exporter._transport._shared.transport._connector  # type: ignore[attr-defined]  # that of both transports
        eventually(lambda: connector._opening is not None and connector._opening.is_secure)
        assert not batcher.shutdown(100)
        eventually(lambda: not [t for t in threading.enumerate() if t.name == "eco2-tracing-export"])


def test_a_fork_during_a_handshake(open_batcher: Open) -> None:
    """A child closes its copy of a connection that is being opened."""
    with BlackHole() as hole:
        batcher = open_batcher(
            f"127.0.0.1:{hole.port}", timeout_s=3600, insecure=False, batcher={"export_timeout_s": 3600}
        )
        batcher.on_end(make_span())
        connector = batcher._batch_exporter._transport._shared.transport._connector  # type: ignore[attr-defined]  # that of both transports
        eventually(lambda: connector._opening is not None and connector._opening.is_secure)
        opening = connector._opening
        batcher._batch_exporter.after_fork()
        assert connector._opening is None
        assert opening._sock.fileno() == -1
        assert not batcher.shutdown(100)


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_an_abort_behind_the_connection(scheme: str, open_batcher: Open) -> None:
    """A connection that is established during an abort is not used."""
    with BlackHole() as hole:
        host = f"127.0.0.1:{hole.port}"
        batcher = open_batcher(host if scheme == "grpc" else f"http://{host}/v1/traces", timeout_s=3600)
        connector = batcher._batch_exporter._transport._shared.transport._connector  # type: ignore[attr-defined]  # that of both transports
        connect = connector._race.connect

        def connect_and_abort(*args: Any) -> Any:
            connected = connect(*args)
            connector.abort()
            return connected

        connector._race.connect = connect_and_abort
        batcher.on_end(make_span())
        eventually(lambda: batcher.stats().last_error)
        assert batcher.stats().last_error == "timed out"
        batcher.shutdown(100)
