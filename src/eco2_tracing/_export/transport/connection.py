"""A socket with one deadline for a whole request, which another thread can abort.

Python's timeouts are per call: a server that sends one byte at a time would block the caller without limit.
"""

from __future__ import annotations

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
_MAX_RESPONSE_BYTES = 256 * 1024
"""Limit for one response. It also ends a connection on which the server only sends pings."""

NO_LIMIT_S = 2_147_483.0
"""Seconds that mean no limit: the largest timeout of the settings (2**31 - 1 ms)."""

_LONGEST_WAIT_S = 86_400.0
"""Longest timeout in seconds for one system call; not every call takes larger numbers."""


def usable_timeout(seconds: float) -> float:
    """Return a timeout that can be added to a clock: NaN and large numbers become `NO_LIMIT_S`."""
    return NO_LIMIT_S if math.isnan(seconds) else min(seconds, NO_LIMIT_S)


class Connection:
    """A connected stream.

    Attributes:
        proxy: The proxy in use, if any.
        is_answered: The peer has sent something.
    """

    proxy: Proxy | None = None

    def __init__(self, sock: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._sock: socket.socket | TlsSocket = sock
        self._clock = clock
        self._deadline = 0.0
        self._received = 0
        self.is_answered = False

    def until(self, deadline: float) -> None:
        """Limit the time and the bytes received from here on."""
        self._deadline = deadline
        self._received = 0

    def secure(self, context: ssl.SSLContext, host: str, *, http2: bool = False) -> None:
        """Start TLS.

        Raises:
            OSError: The handshake failed.
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
        self._sock.settimeout(self._left())
        self._sock.sendall(data)

    def recv(self, size: int = _CHUNK) -> bytes:
        """Receive at least one byte; ``b""`` once the peer has closed.

        Raises:
            TimeoutError: The deadline passed.
            OSError: The connection broke, or the response is too large.
        """
        self._sock.settimeout(self._left())
        return self._counted(self._sock.recv(size))

    def recv_for(self, seconds: float, size: int = _CHUNK) -> bytes | None:
        """Receive as `recv` does; return ``None`` if nothing arrives within so many seconds."""
        self._sock.settimeout(min(self._left(), seconds))
        try:
            return self._counted(self._sock.recv(size))
        except TimeoutError:
            return None

    def glance(self) -> bytes | None:
        """Read without waiting.

        Returns:
            The bytes that arrived; ``b""`` if the connection is closed or broken; ``None`` if nothing arrived.
        """
        try:
            self._sock.settimeout(0)
            return self._counted(self._sock.recv(_CHUNK))
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b""

    def abort(self) -> None:
        """Fail the call that another thread waits for on this socket."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the descriptor without sending anything: a forked child may do it."""
        with suppress(OSError):
            self._sock.close()

    def _counted(self, data: bytes) -> bytes:
        self._received += len(data)
        self.is_answered = True
        if self._received > _MAX_RESPONSE_BYTES:
            raise ConnectionError("the answer has no end")
        return data

    def _left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return min(left, _LONGEST_WAIT_S)
