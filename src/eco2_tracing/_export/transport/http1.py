"""Reading responses of HTTP/1.1 with `http.client`."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from eco2_tracing._export.transport import mismatch
from eco2_tracing._tls import reader_of

if TYPE_CHECKING:
    from eco2_tracing._export.transport.connection import Connection

_LONGEST_LINE = 64 * 1024
_PREFIX = b"HTTP/"
# 101 is final: it ends HTTP/1.1 on the connection (RFC 9110, 15.2).
_INTERIM = re.compile(rb"HTTP/1\.\d\s+1(?!01)\d\d(?=\s)")


class KeptSocket:
    """The part of a socket that `http.client` uses, with a `close` that does nothing.

    `http.client` closes its socket as soon as it has read the headers.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.sendall = connection.sendall
        self._reader = reader_of(connection.recv)

    def wait_for_response(self) -> None:
        """Wait for the final response: `http.client` skips no interim response but 100.

        `makefile` must not raise: `http.client` would leave a response without its file, whose finalizer fails. Python
        3.14 and newer print that failure.

        Raises:
            ConnectionError: There is no response, or it is not HTTP/1.1.
        """
        self._reader = final_response(self._reader, secure=self._connection.is_secure)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the reader of the response."""
        return self._reader

    def close(self) -> None:
        """Do nothing."""


def final_response(reader: io.BufferedReader, *, secure: bool) -> io.BufferedReader:
    """Skip interim responses (1xx; RFC 9110, 15.2).

    Returns:
        A reader that begins with the final response.

    Raises:
        ConnectionError: There is no response, or it is not HTTP/1.1; the message names the probable protocol.
    """
    while True:
        # Peek before reading a line: other protocols may send no line end.
        beginning = reader.peek(1)
        if not beginning:
            raise ConnectionError(mismatch.closed_early("OTLP over HTTP", secure=secure))
        if beginning[: len(_PREFIX)] != _PREFIX[: len(beginning)]:
            raise ConnectionError(mismatch.not_http1(beginning))
        line = reader.readline(_LONGEST_LINE)
        if not line.startswith(_PREFIX):
            raise ConnectionError(mismatch.not_http1(line))
        if not _INTERIM.match(line):
            return _unread(line, reader)
        while reader.readline(_LONGEST_LINE).strip():
            pass


def _unread(line: bytes, reader: io.BufferedReader) -> io.BufferedReader:
    """Return a reader that yields a line that was read, then the rest."""

    def recv(size: int) -> bytes:
        nonlocal line
        data, line = line[:size], line[size:]
        return data or reader.read1(size)

    return reader_of(recv)
