"""TLS over a socket of the operating system.

gevent and eventlet replace `ssl.SSLSocket`; afterwards the original no longer works. `ssl.SSLObject`, which reads and
writes memory, is the same with and without them.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

_CHUNK = 64 * 1024
_LEAST_S = 0.01


class TlsSocket:
    """The part of a socket that HTTP clients use, encrypted. The timeout bounds each call as a whole.

    Args:
        sock: A connected socket of the operating system, which this object now owns.
        context: Whom to trust, and who we are.
        host: The name that the certificate must have.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._readers = 0
        self._is_closing = False
        self._timeout = sock.gettimeout()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self) -> None:
        """Agree with the peer.

        Raises:
            OSError: The peer is not who it should be, or does not speak TLS.
        """
        self._until_done(self._tls.do_handshake)

    def settimeout(self, timeout_s: float | None) -> None:
        """Bound each later call; 0 makes them return what is there."""
        self._timeout = timeout_s

    def recv(self, size: int) -> bytes:
        """Receive at least a byte; nothing once the peer has closed.

        Raises:
            TimeoutError: Nothing came in time; what came of a record is kept.
            BlockingIOError: Nothing is there, and the timeout is 0.
            OSError: The connection broke.
        """
        try:
            data: bytes = self._until_done(self._tls.read, size)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        return data

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all of it.

        Raises:
            OSError: It could not be sent in time, or the connection broke.
        """
        view = memoryview(data)
        while view:
            view = view[self._until_done(self._tls.write, view) :]

    def makefile(self, mode: str = "rb", buffering: int = -1) -> io.BufferedReader:
        """Return a reader, as `http.client` asks for it. The descriptor stays open until it is closed, too."""
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def fileno(self) -> int:
        """Return the descriptor; -1 once closed."""
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        """Fail whatever another thread is waiting for."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the descriptor, without a word to the peer; with the last reader, where there is one."""
        self._is_closing = True
        if not self._readers:
            self._sock.close()

    def release(self) -> None:
        """Note that a reader was closed."""
        self._readers -= 1
        if self._is_closing and not self._readers:
            self._sock.close()

    def _until_done(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do one thing, with as much sending and receiving as it takes."""
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            try:
                result = work(*arguments)
            except ssl.SSLWantReadError:
                self._send_pending(deadline)
                self._receive(deadline)
            except ssl.SSLError:
                self._send_pending(deadline)  # the alert says to the peer what is wrong
                raise
            else:
                self._send_pending(deadline)
                return result

    def _send_pending(self, deadline: float | None) -> None:
        if self._outgoing.pending:
            # Also where only what is there is to be read: half a record would end the connection.
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
    def __init__(self, sock: TlsSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # typeshed: any buffer
        data = self._sock.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._sock.release()
        super().close()
