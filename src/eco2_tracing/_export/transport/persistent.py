"""What both transports share: one connection that is kept, and retries on a connection that broke while idle."""

from __future__ import annotations

import gzip
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing._export.result import ExportResult, RefusedError, failed
from eco2_tracing._export.transport.connection import usable_timeout
from eco2_tracing._export.transport.mismatch import error_text
from eco2_tracing._native import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.transport.connect import Connector
    from eco2_tracing._export.transport.connection import Connection


class RequestOptions(NamedTuple):
    """What every request carries.

    Attributes:
        headers: Names in lower case and values.
        compress: Compress bodies with gzip.
        user_agent: The ``User-Agent`` header.
    """

    headers: tuple[tuple[str, str], ...] = ()
    compress: bool = False
    user_agent: str = "eco2-tracing"


class PersistentTransport(ABC):
    """Sends requests one after the other over one connection.

    Args:
        connector: Opens connections.
        compress: Compress bodies with gzip.
        clock: Monotonic seconds.
    """

    def __init__(
        self, connector: Connector, compress: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connector = connector
        self._compress = compress
        self._clock = clock
        self._connection: Connection | None = None

    @abstractmethod
    def _exchange(self, path: str, body: bytes, deadline: float, *, resent: bool) -> ExportResult | None:
        """Send one request and read its response.

        Args:
            path: The path of the signal's service.
            body: The body, compressed if so configured.
            deadline: Reading of the clock at which to give up.
            resent: The request was already sent twice.

        Returns:
            The result; ``None`` to send the request again at once.
        """

    def send(self, path: str, body: bytes, timeout_s: float) -> ExportResult:
        """Send one request to a path and wait for the response. Errors of the network and the server are results."""
        deadline = self._clock() + usable_timeout(timeout_s)
        content = gzip.compress(body, 5) if self._compress else body
        resent = False
        while True:
            kept = self._connection is not None
            try:
                result = self._exchange(path, content, deadline, resent=resent)
            except Exception as error:  # noqa: BLE001 - peers and TLS files cause more than OSError; it is the result
                if self._connection is not None:
                    self._connector.failed()
                self.close()
                refused = isinstance(error, RefusedError) and not resent
                in_time = not isinstance(error, TimeoutError) and self._clock() < deadline
                if not in_time or not (kept or refused):
                    return failed(error_text(error))
                # The peer may have closed an idle connection, which says nothing about the server. A refused call is
                # sent once more at once (gRPC's "transparent retry", A6).
                resent = resent or refused
            else:
                self._connector.answered()
                if result is not None:
                    return result
                resent = True

    @property
    def is_answered(self) -> bool:
        """True if the peer has sent something on the present connection."""
        return self._connection is not None and self._connection.is_answered

    def cancel(self) -> None:
        """Called by another thread: fail the running call and all later ones."""
        self._connector.abort()
        if self._connection is not None:
            self._connection.abort()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._connector.close()

    def _connected(self, deadline: float) -> Connection:
        """Return the connection, which is opened if there is none."""
        if self._connection is None:
            self._connection = self._connector.open(deadline)
            if self._connector.aborted:
                raise TimeoutError("timed out")
        self._connection.until(deadline)
        return self._connection


class Channel:
    """Sends the requests of one signal over a connection that the signals of one destination share.

    The requests of all signals are sent one after the other. A wait for another signal's request counts against the
    timeout.

    Args:
        shared: The transport and its lock.
        path: The path of the signal's service.
    """

    def __init__(self, shared: SharedTransport, path: str) -> None:
        self._shared = shared
        self._path = path

    def send(self, body: bytes, timeout_s: float) -> ExportResult:
        """Send one request and wait for the response."""
        return self._shared.send(self._path, body, timeout_s)

    @property
    def is_answered(self) -> bool:
        """True if the peer has sent something on the present connection."""
        return self._shared.transport.is_answered

    def cancel(self) -> None:
        """Called by another thread: fail the running call and all later ones."""
        self._shared.transport.cancel()

    def close(self) -> None:
        """Close the connection, unless another signal is using it, which closes it then."""
        self._shared.close()

    def after_fork(self) -> None:
        """In a forked child: close our copy of the connection. The parent's stays open."""
        self._shared.after_fork()


class SharedTransport:
    """A transport that several threads use one after the other.

    Args:
        transport: The transport.
        clock: Monotonic seconds.
    """

    def __init__(self, transport: PersistentTransport, clock: Callable[[], float] = time.monotonic) -> None:
        self.transport = transport
        self._clock = clock
        self._lock = Lock()

    def send(self, path: str, body: bytes, timeout_s: float) -> ExportResult:
        """Send one request when no other is running."""
        timeout_s = usable_timeout(timeout_s)
        deadline = self._clock() + timeout_s
        lock = self._lock
        if not lock.acquire(timeout=max(timeout_s, 0.0)):
            return failed("timed out: a request of another signal to this address was running")
        try:
            return self.transport.send(path, body, deadline - self._clock())
        finally:
            lock.release()

    def close(self) -> None:
        """Close the connection unless a request is running."""
        lock = self._lock
        if lock.acquire(blocking=False):
            try:
                self.transport.close()
            finally:
                lock.release()

    def after_fork(self) -> None:
        """In a forked child: replace the lock, and close our copy of the connection."""
        self._lock = Lock()
        self.transport.close()
