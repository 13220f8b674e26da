"""What both transports share: one connection that is kept, and retries on a connection that broke while idle."""

from __future__ import annotations

import gzip
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing._export.result import ExportResult, RefusedError, failed
from eco2_tracing._export.transport.connection import usable_timeout
from eco2_tracing._export.transport.mismatch import error_text

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
    def _exchange(self, body: bytes, deadline: float, *, resent: bool) -> ExportResult | None:
        """Send one request and read its response.

        Args:
            body: The body, compressed if so configured.
            deadline: Reading of the clock at which to give up.
            resent: The request was already sent twice.

        Returns:
            The result; ``None`` to send the request again at once.
        """

    def send(self, body: bytes, timeout_s: float) -> ExportResult:
        """Send one request and wait for the response. Errors of the network and the server are results."""
        deadline = self._clock() + usable_timeout(timeout_s)
        content = gzip.compress(body, 5) if self._compress else body
        resent = False
        while True:
            kept = self._connection is not None
            try:
                result = self._exchange(content, deadline, resent=resent)
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
