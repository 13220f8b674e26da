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

from eco2_tracing._export.connection import idle
from eco2_tracing._export.reply import Reply, failed, grpc_code_of_http, grpc_reply, success
from eco2_tracing._late_imports import late_imports

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.connection import Connection
    from eco2_tracing._export.dialing import Dialer
    from eco2_tracing._export.http2 import Answer, Http2Session

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
        dialer: Dialer,
        *,
        secure: bool,
        headers: tuple[tuple[str, str], ...] = (),
        compress: bool = False,
        user_agent: str = "eco2-tracing",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dialer = dialer
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

    def send(self, body: bytes, timeout_s: float, meanwhile: Callable[[], None] = idle) -> Reply:
        """Send one request and wait for the answer.

        Args:
            body: An encoded ``ExportTraceServiceRequest``.
            timeout_s: Seconds for all of it.
            meanwhile: Called now and then while the server takes its time.
        """
        deadline = self._clock() + timeout_s
        message = gzip.compress(body, 5) if self._compress else body
        framed = (b"\x01" if self._compress else b"\x00") + len(message).to_bytes(4, "big") + message
        headers = (*self._headers, ("grpc-timeout", f"{max(int(timeout_s * 1000), 1)}m"))
        while True:
            fresh = self._session is None
            try:
                answer = self._ready(deadline, meanwhile).call(headers, framed)
            except OSError as error:
                self.close()
                if not fresh and not isinstance(error, TimeoutError) and self._clock() < deadline:
                    # The kept connection was closed from the other side; that tells nothing about the server.
                    continue
                return failed(_told(error))
            if not answer.reusable:
                self.close()
            return _judge(answer)

    def cancel(self) -> None:
        """Let the running call in another thread fail, and all later ones."""
        self._dialer.abort()
        if self._connection is not None:
            self._connection.abort()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection, self._session = self._connection, None, None
        if connection is not None:
            connection.close()

    def _ready(self, deadline: float, meanwhile: Callable[[], None]) -> Http2Session:
        if self._session is not None and self._connection is not None:
            self._connection.until(deadline, meanwhile)
            if self._session.is_usable():
                return self._session
            self.close()
        # Imported by the first request, in the worker: h2 takes as long as all the rest of this package.
        with late_imports():
            from eco2_tracing._export.http2 import Http2Session
        self._connection = self._dialer.open(deadline)
        self._connection.until(deadline, meanwhile)
        self._session = Http2Session(self._connection)
        return self._session


def _judge(answer: Answer) -> Reply:
    status, headers = answer.status, answer.headers
    code = headers.get("grpc-status")
    if code is None:
        if answer.reset is not None:
            return grpc_reply(answer.reset, "the stream was reset", {})
        return grpc_reply(grpc_code_of_http(status), f"HTTP {status} without a gRPC status", {})
    if code == "0":
        return success(answer.data[5:])
    message = unquote(headers.get("grpc-message", ""), errors="replace")
    return grpc_reply(int(code) if code.isdecimal() else 2, message, headers)


def _told(error: OSError) -> str:
    return str(error) or type(error).__name__
