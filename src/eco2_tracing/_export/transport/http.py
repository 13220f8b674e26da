"""OTLP over HTTP/1.1 with protobuf bodies.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import gzip
import re
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eco2_tracing._export.result import ExportResult, failed, http_result, success
from eco2_tracing._export.transport.connection import idle, usable_timeout
from eco2_tracing._export.transport.http1 import LentSocket
from eco2_tracing._export.transport.mismatch import in_words, tls_expected

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.transport.connect import Connector
    from eco2_tracing._export.transport.connection import Connection

_MAX_ANSWER_BYTES = 64 * 1024
_SWITCHING_PROTOCOLS = 101
_BAD_REQUEST = 400


class HttpTransport:
    """Posts requests to a URL, over one connection that is kept.

    Redirects are not followed: headers that may hold credentials do not go to a stranger.

    Args:
        url: Where to, path included.
        dialer: Opens connections.
        headers: Names and values, sent with each request.
        compress: Send bodies with gzip.
        user_agent: Who we are.
        clock: Monotonic seconds.
        wall_clock: Seconds since the epoch; a ``Retry-After`` date is compared with it.
    """

    def __init__(
        self,
        url: str,
        dialer: Connector,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        compress: bool = False,
        user_agent: str = "eco2-tracing",
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # A zone is for this machine alone (RFC 6874, section 4).
        self._host = re.sub(r"%[^\]]*\]", "]", parts.netloc.rpartition("@")[2])
        self._secure = parts.scheme == "https"
        self._url = f"{parts.scheme}://{self._host}{self._path}"
        self._connector = dialer
        self._compress = compress
        self._clock = clock
        self._wall_clock = wall_clock
        self._connection: Connection | None = None
        self._headers = {
            "Host": self._host,
            "User-Agent": user_agent,
            "Content-Type": "application/x-protobuf",
            **({"Content-Encoding": "gzip"} if compress else {}),
            **dict(headers),
        }

    def send(self, body: bytes, timeout_s: float, meanwhile: Callable[[], None] = idle) -> ExportResult:
        """Send one request and wait for the answer.

        Args:
            body: An encoded ``ExportTraceServiceRequest``.
            timeout_s: Seconds for all of it.
            meanwhile: Called now and then while the server takes its time.
        """
        deadline = self._clock() + usable_timeout(timeout_s)
        while True:
            kept = self._connection is not None
            try:
                reply = self._post(body, deadline, meanwhile)
            except Exception as error:  # noqa: BLE001 - whatever the peer and the environment make of it
                self._give_up()
                if kept and not isinstance(error, TimeoutError) and self._clock() < deadline:
                    # The kept connection was closed from the other side; that tells nothing about the server.
                    continue
                return failed(in_words(error))
            self._connector.answered()
            return reply

    def cancel(self) -> None:
        """Let the running call in another thread fail, and all later ones."""
        self._connector.abort()
        if self._connection is not None:
            self._connection.abort()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._connector.close()

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connector.failed()
        self.close()

    def _ready(self, deadline: float, meanwhile: Callable[[], None]) -> Connection:
        if self._connection is not None and self._connection.glance() is not None:
            self.close()
        if self._connection is None:
            self._connection = self._connector.open(deadline)
            if self._connector.aborted:
                raise TimeoutError("timed out")
        self._connection.until(deadline, meanwhile)
        return self._connection

    def _post(self, body: bytes, deadline: float, meanwhile: Callable[[], None]) -> ExportResult:
        content = gzip.compress(body, 5) if self._compress else body
        connection = self._ready(deadline, meanwhile)
        client = HTTPConnection("unused")
        client.sock = LentSocket(connection)
        client.auto_open = 0
        # Plaintext is forwarded by a proxy, which wants the whole URL (RFC 9112, 3.2.2); TLS goes by a tunnel.
        proxy = None if self._secure else connection.proxy
        client.putrequest(
            "POST", self._url if proxy else self._path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in self._headers.items():
            client.putheader(name, value.encode("latin-1", "replace"))
        if proxy and proxy.authorization:
            client.putheader("Proxy-Authorization", proxy.authorization)
        client.putheader("Content-Length", str(len(content)))
        client.endheaders(content)
        with client.getresponse() as response:
            answer = self._read(response)
        if 200 <= response.status < 300:
            return success(answer)
        if response.status == _BAD_REQUEST and (problem := tls_expected(answer)):
            raise ConnectionError(problem)
        after = response.getheader("Retry-After")
        return http_result(response.status, response.reason, after, self._wall_clock())

    def _read(self, response: HTTPResponse) -> bytes:
        """Read what is of interest of a body; one that breaks off takes nothing back of the status."""
        try:
            answer = response.read(_MAX_ANSWER_BYTES)
        except (OSError, HTTPException, ValueError):
            self.close()
            return b""
        if response.will_close or response.status == _SWITCHING_PROTOCOLS or not response.isclosed():
            self.close()
        return answer
