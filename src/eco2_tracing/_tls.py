"""TLS over a socket of the operating system.

gevent and eventlet replace `ssl.SSLSocket`, and the original no longer works then. They do not replace `ssl.SSLObject`,
which reads and writes memory.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

_Result = TypeVar("_Result")

_CHUNK = 64 * 1024
_LEAST_S = 0.01


class TlsSocket:
    """The part of a TLS socket that HTTP clients use. The timeout limits each call as a whole.

    It closes the connected socket of the operating system. ``host`` is the name that the certificate must have.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._readers = 0
        self._is_closing = False
        self._timeout = sock.gettimeout()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self) -> None:
        """Do the TLS handshake, or raise an `OSError`."""
        self._until_done(self._tls.do_handshake)

    def settimeout(self, timeout_s: float | None) -> None:
        """Limit each later call; 0 makes them return what has arrived."""
        self._timeout = timeout_s

    def recv(self, size: int) -> bytes:
        """Receive at least one byte; ``b""`` once the peer has closed.

        `TimeoutError`: nothing arrived in time; part of a record is kept. `BlockingIOError`: nothing has arrived, and
        the timeout is 0. `OSError`: the connection broke.
        """
        try:
            return self._until_done(partial(self._tls.read, size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all of it, or raise an `OSError`."""
        view = memoryview(data)
        while view:
            view = view[self._until_done(partial(self._tls.write, view)) :]

    def makefile(self, mode: str = "rb", buffering: int = -1) -> io.BufferedReader:
        """Return a reader, as `http.client` needs it. The descriptor stays open until the reader is closed."""
        self._readers += 1
        return reader_of(self.recv, self._release)

    def fileno(self) -> int:
        """Return the descriptor; -1 once closed."""
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        """Fail the call that another thread waits for."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the descriptor without sending anything, once its last reader is closed."""
        self._is_closing = True
        if not self._readers:
            self._sock.close()

    def _release(self) -> None:
        self._readers -= 1
        if self._is_closing and not self._readers:
            self._sock.close()

    def _until_done(self, operation: Callable[[], _Result]) -> _Result:
        """Run an operation, with the sending and receiving that it needs."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                self._send_pending(deadline)
                self._receive(deadline)
            except ssl.SSLError:
                self._send_pending(deadline)  # the alert that names the error to the peer
                raise
            else:
                self._send_pending(deadline)
                return result

    def _send_pending(self, deadline: float | None) -> None:
        if self._outgoing.pending:
            # Also if the timeout is 0: a partly sent record would break the connection.
            self._sock.settimeout(self._seconds(deadline) or _LEAST_S)
            self._sock.sendall(self._outgoing.read())

    def _receive(self, deadline: float | None) -> None:
        self._sock.settimeout(self._seconds(deadline))
        data = self._sock.recv(_CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _seconds(self, deadline: float | None) -> float | None:
        """Return the timeout of the next call on the socket."""
        if deadline is None or not self._timeout:
            return self._timeout
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left


class _Reader(io.RawIOBase):
    def __init__(self, recv: Callable[[int], bytes], on_close: Callable[[], None] | None) -> None:
        self._recv = recv
        self._on_close = on_close

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # typeshed: any buffer
        data = self._recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and self._on_close is not None:
            self._on_close()
        super().close()


def reader_of(recv: Callable[[int], bytes], on_close: Callable[[], None] | None = None) -> io.BufferedReader:
    """Return a buffered reader. ``recv`` returns at most so many bytes, none at the end."""
    return io.BufferedReader(_Reader(recv, on_close))
