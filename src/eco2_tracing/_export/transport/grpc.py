"""OTLP over gRPC, on a plain socket.

grpcio is not used: it starts threads in C that a fork does not copy. With a call under way, or with
GRPC_ENABLE_FORK_SUPPORT=0, a forked child hangs or loses its spans, and ``fork`` itself may hang.
One unary call at a time needs little of it: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import gzip
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

from eco2_tracing._export.result import (
    ExportResult,
    RefusedError,
    failed,
    grpc_code,
    grpc_code_of_http,
    grpc_result,
    success,
)
from eco2_tracing._export.transport.connection import NO_LIMIT_S, idle, usable_timeout
from eco2_tracing._export.transport.mismatch import in_words
from eco2_tracing._lazy_imports import lazy_imports

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.transport.connect import Connector
    from eco2_tracing._export.transport.connection import Connection
    from eco2_tracing._export.transport.grpc_response import Answer
    from eco2_tracing._export.transport.http2 import Http2Session

_SETTINGS_WAIT_S = 1.0
"""Seconds that the first request waits for the server's SETTINGS."""
_EIGHT_DIGITS = 100_000_000
_NO_LIMIT_MARGIN_S = 86_400.0
_PATH = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class GrpcTransport:
    """Sends requests to a gRPC server, over one connection that is kept.

    Args:
        authority: The server as its clients call it, ``host:port``.
        dialer: Opens connections.
        secure: The dialer's connections are TLS.
        headers: Metadata: lower-case names and values.
        compress: Send bodies with gzip.
        user_agent: Who we are.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        authority: str,
        dialer: Connector,
        *,
        secure: bool,
        headers: tuple[tuple[str, str], ...] = (),
        compress: bool = False,
        user_agent: str = "eco2-tracing",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connector = dialer
        self._compress = compress
        self._clock = clock
        self._connection: Connection | None = None
        self._session: Http2Session | None = None
        self._headers = (
            (":method", "POST"),
            (":scheme", "https" if secure else "http"),
            (":authority", authority),
            (":path", _PATH),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", user_agent),
            *((("grpc-encoding", "gzip"),) if compress else ()),
            *headers,
        )

    def send(self, body: bytes, timeout_s: float, meanwhile: Callable[[], None] = idle) -> ExportResult:
        """Send one request and wait for the answer.

        Args:
            body: An encoded ``ExportTraceServiceRequest``.
            timeout_s: Seconds for all of it.
            meanwhile: Called now and then while the server takes its time.
        """
        deadline = self._clock() + usable_timeout(timeout_s)
        resent = False
        while True:
            kept = self._session is not None
            try:
                answer = self._call(body, deadline, meanwhile, resent)
            except Exception as error:  # noqa: BLE001 - whatever the peer and the environment make of it
                self._give_up()
                again = not isinstance(error, TimeoutError) and self._clock() < deadline
                refused = isinstance(error, RefusedError) and not resent
                if again and (kept or refused):
                    # A kept connection may have been closed meanwhile, which tells nothing about the server. A call
                    # that the server did not take is sent once more at once (gRPC's "transparent retry", A6).
                    resent = resent or refused
                    continue
                return failed(in_words(error))
            self._connector.answered()
            if not answer.reusable:
                self.close()
            # Broken off without a status: whether the call was processed is not known, as when a connection breaks.
            if answer.has_status or answer.overloaded or resent or self._clock() >= deadline:
                return _judge(answer)
            resent = True

    def cancel(self) -> None:
        """Let the running call in another thread fail, and all later ones."""
        self._connector.abort()
        if self._connection is not None:
            self._connection.abort()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection, self._session = self._connection, None, None
        if connection is not None:
            connection.close()
        self._connector.close()

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connector.failed()
        self.close()

    def _call(self, body: bytes, deadline: float, meanwhile: Callable[[], None], resent: bool) -> Answer:
        session = self._ready(deadline, meanwhile)
        # A server that refused the first request may have sent its SETTINGS late.
        left = deadline - self._clock()
        session.await_settings(left / 2 if resent else min(_SETTINGS_WAIT_S, left / 2))
        message = gzip.compress(body, 5) if self._compress else body
        framed = (b"\x01" if self._compress else b"\x00") + len(message).to_bytes(4, "big") + message
        timeout = grpc_timeout(deadline - self._clock())
        headers = (*self._headers, ("grpc-timeout", timeout)) if timeout else self._headers
        return session.call(headers, framed)

    def _ready(self, deadline: float, meanwhile: Callable[[], None]) -> Http2Session:
        if self._session is not None and self._connection is not None:
            self._connection.until(deadline, meanwhile)
            if self._session.is_usable():
                return self._session
            self.close()
        # Imported by the first request, in the worker: h2 takes as long as all the rest of this package.
        with lazy_imports():
            from eco2_tracing._export.transport.http2 import Http2Session
        self._connection = self._connector.open(deadline)
        if self._connector.aborted:
            raise TimeoutError("timed out")
        self._connection.until(deadline, meanwhile)
        self._session = Http2Session(self._connection)
        return self._session


def grpc_timeout(seconds: float) -> str | None:
    """Return the value of ``grpc-timeout``: at most eight digits and a unit; ``None`` for no limit.

    Args:
        seconds: What is left.
    """
    if seconds >= NO_LIMIT_S - _NO_LIMIT_MARGIN_S:
        return None
    milliseconds = max(int(seconds * 1000), 1)
    return f"{milliseconds}m" if milliseconds < _EIGHT_DIGITS else f"{int(seconds)}S"


def _judge(answer: Answer) -> ExportResult:
    status, headers = answer.status, answer.headers
    code = headers.get("grpc-status")
    if code is None:
        if answer.overloaded:
            return ExportResult("retry", "RESOURCE_EXHAUSTED: the stream was reset")
        if answer.reset is not None:
            return grpc_result(answer.reset, "the stream was reset", {})
        return grpc_result(grpc_code_of_http(status), f"HTTP {status} without a gRPC status", {})
    if code == "0":
        # We offered no compression: a message that claims to be compressed cannot be read.
        return success(answer.data[5:] if answer.data[:1] == b"\x00" else b"")
    message = unquote(headers.get("grpc-message", ""), errors="replace")
    return grpc_result(grpc_code(code), message, headers)
