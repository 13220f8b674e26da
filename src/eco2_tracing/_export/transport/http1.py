"""Reading the answer of HTTP/1.1, on `http.client`."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from eco2_tracing._export.transport import mismatch

if TYPE_CHECKING:
    from eco2_tracing._export.transport.connection import Connection

_LONGEST_LINE = 64 * 1024
_PREFIX = b"HTTP/"
# 101 is final: it ends HTTP/1.1 on the connection (RFC 9110, 15.2).
_INTERIM = re.compile(rb"HTTP/1\.\d\s+1(?!01)\d\d(?=\s)")


class LentSocket:
    """What `http.client` uses of a socket; it closes it as soon as it has the headers, so that does nothing.

    Args:
        connection: The connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.sendall = connection.sendall

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a reader of the final answer: `http.client` takes interim ones other than 100 for final."""
        return final_answer(self._connection.makefile(mode), secure=self._connection.is_secure)

    def close(self) -> None:
        """Do nothing."""


def final_answer(reader: io.BufferedReader, *, secure: bool) -> io.BufferedReader:
    """Skip interim answers (1xx; RFC 9110, 15.2).

    Args:
        reader: Reads what the server sends.
        secure: It sends it over TLS.

    Returns:
        A reader that begins with the final answer.

    Raises:
        ConnectionError: There is no answer, or it is no HTTP/1.1; the message says what it looks like.
    """
    while True:
        # Before a line is read: other protocols send none.
        beginning = reader.peek(1)
        if not beginning:
            raise ConnectionError(mismatch.closed_early("OTLP over HTTP", secure=secure))
        if beginning[: len(_PREFIX)] != _PREFIX[: len(beginning)]:
            raise ConnectionError(mismatch.not_http1(beginning))
        line = reader.readline(_LONGEST_LINE)
        if not line.startswith(_PREFIX):
            raise ConnectionError(mismatch.not_http1(line))
        if not _INTERIM.match(line):
            return io.BufferedReader(_Replayed(line, reader))
        while reader.readline(_LONGEST_LINE).strip():
            pass


class _Replayed(io.RawIOBase):
    """Gives a line that was read once more, and then the rest."""

    def __init__(self, line: bytes, reader: io.BufferedReader) -> None:
        self._line = line
        self._reader = reader

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # typeshed: any buffer
        data, self._line = self._line[: len(buffer)], self._line[len(buffer) :]
        data = data or self._reader.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)
