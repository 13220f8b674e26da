"""OTLP over gRPC, on a socket.

grpcio is not used. It starts threads in C that a fork does not copy: a forked child hangs or loses its spans if a call
was running, or if GRPC_ENABLE_FORK_SUPPORT=0. Sequential unary calls need little of the protocol:
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from eco2_tracing._export.result import ExportResult, grpc_code, grpc_code_of_http, grpc_result, success
from eco2_tracing._export.transport.connection import NO_LIMIT_S
from eco2_tracing._export.transport.persistent import PersistentTransport
from eco2_tracing._lazy_imports import lazy_imports

if TYPE_CHECKING:
    from eco2_tracing._export.transport.connect import Connector
    from eco2_tracing._export.transport.http2 import GrpcResponse, Http2Session
    from eco2_tracing._export.transport.persistent import RequestOptions

_SETTINGS_WAIT_S = 1.0
"""Seconds that the first request waits for the server's SETTINGS."""
_EIGHT_DIGITS = 100_000_000
_NO_LIMIT_MARGIN_S = 86_400.0


class GrpcTransport(PersistentTransport):
    """Sends requests to a gRPC server.

    Args:
        authority: ``host:port`` of the server.
        connector: Opens connections.
        options: What every request carries.
        secure: The connections are TLS.
    """

    def __init__(
        self, authority: str, connector: Connector, options: RequestOptions, *, secure: bool
    ) -> None:
        super().__init__(connector, options.compress)
        self._session: Http2Session | None = None
        self._head = (
            (":method", "POST"),
            (":scheme", "https" if secure else "http"),
            (":authority", authority),
        )
        self._headers = (
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", options.user_agent),
            *((("grpc-encoding", "gzip"),) if options.compress else ()),
            *options.headers,
        )

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._session = None
        super().close()

    def _exchange(self, path: str, body: bytes, deadline: float, *, resent: bool) -> ExportResult | None:
        session = self._ready(deadline)
        # A server that refused the first request may have sent its SETTINGS late.
        left = deadline - self._clock()
        session.await_settings(left / 2 if resent else min(_SETTINGS_WAIT_S, left / 2))
        framed = (b"\x01" if self._compress else b"\x00") + len(body).to_bytes(4, "big") + body
        timeout = grpc_timeout(deadline - self._clock())
        headers = (*self._head, (":path", path), *self._headers)
        if timeout:
            headers = (*headers, ("grpc-timeout", timeout))
        response = session.call(headers, framed)
        if not response.reusable:
            self.close()
        # A stream that was reset without a status may or may not have been processed, as when a connection breaks.
        final = response.has_status or response.overloaded or resent or self._clock() >= deadline
        return _result(response) if final else None

    def _ready(self, deadline: float) -> Http2Session:
        if self._session is not None:
            self._connected(deadline)
            if self._session.is_usable():
                return self._session
            self.close()
        # Imported at the first request, in the export thread: h2 takes as long as the rest of this package.
        with lazy_imports():
            from eco2_tracing._export.transport.http2 import Http2Session
        self._session = Http2Session(self._connected(deadline))
        return self._session


def grpc_timeout(seconds: float) -> str | None:
    """Return the value of ``grpc-timeout``: at most eight digits and a unit; ``None`` for no limit."""
    if seconds >= NO_LIMIT_S - _NO_LIMIT_MARGIN_S:
        return None
    milliseconds = max(int(seconds * 1000), 1)
    return f"{milliseconds}m" if milliseconds < _EIGHT_DIGITS else f"{int(seconds)}S"


def _result(response: GrpcResponse) -> ExportResult:
    status, headers = response.status, response.headers
    code = headers.get("grpc-status")
    if code is None:
        if response.overloaded:
            return ExportResult("retry", "RESOURCE_EXHAUSTED: the stream was reset")
        if response.reset is not None:
            return grpc_result(response.reset, "the stream was reset", {})
        return grpc_result(grpc_code_of_http(status), f"HTTP {status} without a gRPC status", {})
    if code == "0":
        # No compression was offered: a message flagged as compressed cannot be decoded.
        return success(response.data[5:] if response.data[:1] == b"\x00" else b"")
    message = unquote(headers.get("grpc-message", ""), errors="replace")
    return grpc_result(grpc_code(code), message, headers)
