"""A socket with one deadline for all that is done on it, which another thread can cut short.

Python's own timeouts are per call, so a server that answers a byte at a time holds a caller for ever.
"""

from __future__ import annotations

import io
import math
import socket
import ssl
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from eco2_tracing._export.transport import mismatch
from eco2_tracing._tls import TlsSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.transport.proxies import Proxy

_CHUNK = 64 * 1024
_LONGEST_ANSWER = 256 * 1024
"""Bytes of one answer. A server that sends more, or pings without end, would keep this process busy with reading it."""


_SLICE_S = 0.25
"""Seconds of waiting after which there is time for something else."""


NO_LIMIT_S = 2_147_483.0
"""Seconds that stand for no limit: the largest timeout that settings hold (2**31 - 1 ms)."""

_LONGEST_WAIT_S = 86_400.0
"""Seconds of one call to the system; a longer time is not a number that every call takes."""


def idle() -> None:
    """Do nothing meanwhile."""


def usable_timeout(seconds: float) -> float:
    """Return a timeout that a clock can be added to: what is no number, or too large, is no limit."""
    return NO_LIMIT_S if math.isnan(seconds) else min(seconds, NO_LIMIT_S)


class Connection:
    """A connected stream.

    Args:
        sock: A socket that this object now owns.
        clock: Monotonic seconds.

    Attributes:
        proxy: The proxy that it was opened through, if any.
    """

    proxy: Proxy | None = None

    def __init__(self, sock: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._sock: socket.socket | TlsSocket = sock
        self._clock = clock
        self._deadline = 0.0
        self._meanwhile: Callable[[], None] = idle
        self._received = 0

    def until(self, deadline: float, meanwhile: Callable[[], None] = idle) -> None:
        """Bound everything from here on: how long it takes, and how much is received.

        Args:
            deadline: Reading of the clock at which the peer has had its time.
            meanwhile: Called now and then while nothing is received.
        """
        self._deadline = deadline
        self._meanwhile = meanwhile
        self._received = 0

    def secure(self, context: ssl.SSLContext, host: str, *, http2: bool = False) -> None:
        """Make it TLS.

        Args:
            context: Whom to trust, and who we are.
            host: The name that the certificate must have.
            http2: The context offers HTTP/2.

        Raises:
            OSError: The peer is not who it should be, or does not speak TLS.
        """
        try:
            self._sock.settimeout(self._left())
            tls = self._sock = TlsSocket(cast("socket.socket", self._sock), context, host)
            tls.handshake()
        except ssl.SSLError as error:
            raise ConnectionError(mismatch.tls_error(error, http2=http2)) from None

    @property
    def is_secure(self) -> bool:
        """True for TLS."""
        return isinstance(self._sock, TlsSocket)

    def sendall(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            TimeoutError: The deadline passed.
            OSError: The connection broke.
        """
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            self._sock.settimeout(self._left())
            self._sock.sendall(view[start : start + _CHUNK])

    def recv(self, size: int = _CHUNK) -> bytes:
        """Receive what is there, at least a byte; nothing once the peer has closed.

        Raises:
            TimeoutError: The deadline passed.
            OSError: The connection broke, or the peer does not come to an end.
        """
        while True:
            data = self.recv_for(_SLICE_S, size)
            if data is not None:
                return data

    def recv_for(self, seconds: float, size: int = _CHUNK) -> bytes | None:
        """Receive as `recv` does, or return ``None`` when nothing came in so many seconds."""
        self._sock.settimeout(min(self._left(), seconds))
        try:
            return self._counted(self._sock.recv(size))
        except TimeoutError:
            self._meanwhile()
            return None

    def makefile(self, mode: str, buffering: int = -1) -> io.BufferedReader:
        """Return a reader, as `http.client` asks for it."""
        return io.BufferedReader(_Reader(self))

    def glance(self) -> bytes | None:
        """Read without waiting.

        Returns:
            What is there; nothing in it when the peer has closed or broken off; ``None`` when all is quiet.
        """
        try:
            self._sock.settimeout(0)
            return self._counted(self._sock.recv(_CHUNK))
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b""

    def abort(self) -> None:
        """Fail whatever another thread is waiting for on this socket."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the descriptor, without a word to the peer: a forked child may do it."""
        with suppress(OSError):
            self._sock.close()

    def _counted(self, data: bytes) -> bytes:
        self._received += len(data)
        if self._received > _LONGEST_ANSWER:
            raise ConnectionError("the answer has no end")
        return data

    def _left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return min(left, _LONGEST_WAIT_S)


class _Reader(io.RawIOBase):
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # typeshed: any buffer
        data = self._connection.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)
