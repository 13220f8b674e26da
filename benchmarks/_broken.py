"""Requests that their sender breaks, written to raw sockets: aborted uploads and downloads, dropped WebSockets."""

from __future__ import annotations

import base64
import os
import socket
import struct
from collections.abc import Callable, Mapping

LIMIT_S = 20.0
_TEXT, _CLOSE = 1, 8
Headers = Mapping[str, str]


def connect(port: int) -> socket.socket:
    """Connect to a server on loopback."""
    return socket.create_connection(("127.0.0.1", port), LIMIT_S)


def reset(connection: socket.socket) -> None:
    """Close with a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def lines(first: str, *headers: Headers) -> bytes:
    """Write the head of a request."""
    fields = [f"{name}: {value}" for some in headers for name, value in some.items()]
    return "\r\n".join([first, "host: shop", *fields, "", ""]).encode()


def read_head(connection: socket.socket) -> bytes:
    """Read up to the end of the head of a response, and what came with it."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(4096)
        if not more:
            raise ConnectionError(f"ended after {read!r}")
        read += more
    return read


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """Write a short WebSocket frame, masked with zeros."""
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


def open_socket(port: int, path: str, headers: Headers) -> socket.socket:
    """Open a WebSocket."""
    connection = connect(port)
    handshake = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
        "sec-websocket-version": "13",
    }
    connection.sendall(lines(f"GET {path} HTTP/1.1", handshake, headers))
    read_head(connection)
    return connection


def say(connection: socket.socket, text: str, opcode: int = _TEXT) -> None:
    """Send one message."""
    connection.sendall(frame(opcode, text.encode()))


def hang_up(connection: socket.socket, code: int | None) -> None:
    """Close a WebSocket as clients do: with a code, or without."""
    connection.sendall(frame(_CLOSE, b"" if code is None else struct.pack("!H", code)))
    try:
        while connection.recv(4096):
            pass
    except OSError:
        pass
    connection.close()


def aborted_upload(end: Callable[[socket.socket], None], path: str) -> Callable[[int, Headers], None]:
    """Make a sender of half a body."""

    def send(port: int, headers: Headers) -> None:
        connection = connect(port)
        # The server asks for the body when the application does: a reset before would undo the request.
        size = {"content-type": "application/json", "content-length": "1000", "expect": "100-continue"}
        connection.sendall(lines(f"POST {path} HTTP/1.1", size, headers))
        read_head(connection)
        connection.sendall(b'{"half": ')
        end(connection)

    return send


def aborted_download(end: Callable[[socket.socket], None], path: str) -> Callable[[int, Headers], None]:
    """Make a reader of the beginning of a response."""

    def send(port: int, headers: Headers) -> None:
        connection = connect(port)
        connection.sendall(lines(f"GET {path} HTTP/1.1", headers))
        read_head(connection)
        end(connection)

    return send


def dropped_socket(
    end: Callable[[socket.socket], None], path: str, *messages: str, opcode: int = _TEXT
) -> Callable[[int, Headers], None]:
    """Make a WebSocket client that sends messages, and ends."""

    def send(port: int, headers: Headers) -> None:
        connection = open_socket(port, path, headers)
        for message in messages:
            say(connection, message, opcode)
        end(connection)

    return send


def wait_for_end(connection: socket.socket) -> None:
    """Wait until the server closes."""
    try:
        while connection.recv(4096):
            pass
    except OSError:
        pass
    connection.close()


CODES = (1000, 1001, 1002, 1003, 1007, 1009, 1011, 3000, 4001, None)
"""What clients close with; ``None`` is a close without a code, which is 1005 to the server."""

BROKEN: dict[str, Callable[[int, Headers], None]] = {
    "upload closed": aborted_upload(socket.socket.close, "/read"),
    "upload reset": aborted_upload(reset, "/read"),
    "streamed upload closed": aborted_upload(socket.socket.close, "/read-stream"),
    "upload into a model closed": aborted_upload(socket.socket.close, "/model"),
    "upload closed that middleware apologizes for": aborted_upload(socket.socket.close, "/apologizes/read"),
    "upload closed below a span": aborted_upload(socket.socket.close, "/read-in-span"),
    "download closed": aborted_download(socket.socket.close, "/stream"),
    "download reset": aborted_download(reset, "/stream"),
    "download without routes reset": aborted_download(reset, "/raw"),
    "socket closed": dropped_socket(socket.socket.close, "/echo", "hi"),
    "socket reset": dropped_socket(reset, "/echo", "hi"),
    "socket closed below a span": dropped_socket(socket.socket.close, "/echo-in-span", "hi"),
    "socket closed in a task group": dropped_socket(socket.socket.close, "/echo-in-group", "hi"),
    "pushing socket closed": dropped_socket(socket.socket.close, "/push"),
    "pushing socket reset": dropped_socket(reset, "/push"),
    "socket closed that closes too": dropped_socket(socket.socket.close, "/closes", "hi"),
    "socket closed that goes on to listen": dropped_socket(socket.socket.close, "/listens", "hi"),
    "socket closed that goes on to talk": dropped_socket(socket.socket.close, "/talks", "hi"),
    "bad JSON": dropped_socket(wait_for_end, "/json", '{"half": '),
    "bytes for text": dropped_socket(wait_for_end, "/text", "hi", opcode=2),
    "bad JSON that the application decodes": dropped_socket(wait_for_end, "/loads", '{"half": '),
    "bad JSON for another decoder": dropped_socket(wait_for_end, "/decodes", '{"half": '),
    "bad JSON for a model": dropped_socket(wait_for_end, "/validates", '{"half": '),
    **{
        f"socket hung up with {code}": dropped_socket(
            lambda one, code=code: hang_up(one, code), "/echo", "hi"
        )
        for code in CODES
    },
}
"""How a request can be broken by its sender, by name; each takes a port and more headers."""
