"""The servers of a receiver: HTTP by the standard library, gRPC by grpcio."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from eco2_tracing.testing._faults import Fault

OK = "ok"  # the recorded answer to a request without a fault
LOOPBACK = "127.0.0.1"
_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
MOST_BYTES = 64 * 1024 * 1024
"""The largest body of a request over HTTP, uncompressed."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One export request, successful or not.

    Attributes:
        transport: `grpc`, `http` or `zipkin`.
        headers: Headers or metadata with lower-case names, without binary metadata.
        size: Bytes of the uncompressed message.
        compression: `content-encoding` of an HTTP request; `""` for none and for gRPC,
            whose server does not expose it.
        spans: The number of spans in the request.
        answer: `ok`, the name of the gRPC status code, or the HTTP status code.
    """

    transport: str
    headers: Mapping[str, str] = field(hash=False)
    size: int
    compression: str
    spans: int
    answer: str


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files for a receiver that serves TLS.

    Attributes:
        certificate: The certificate chain of the server.
        private_key: The private key of the server.
        client_ca: The CA of client certificates, which are then required; `None` requires none.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None = None


Export = tuple[Fault, bytes]
"""The result of an export request: a fault, and the response message as protobuf bytes."""

# Called with transport, path, headers and the uncompressed body.
ExportHandler = Callable[[str, str, Mapping[str, str], bytes], Export]


def _error_status(fault: Fault) -> bytes:
    """A `google.rpc.Status` message, with `RetryInfo` if the fault has `retry_after_s`."""
    import grpc
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status

    code = grpc.StatusCode[fault.grpc_code or "UNKNOWN"].value[0]
    status = Status(code=code, message=fault.message)
    if fault.retry_after_s is not None:
        info = RetryInfo()
        info.retry_delay.FromMilliseconds(round(fault.retry_after_s * 1000))
        status.details.add().Pack(info)
    encoded: bytes = status.SerializeToString()
    return encoded


def _checked(size: int) -> int:
    """Return the size of a body; raise `ValueError` if it is too large."""
    if not 0 <= size <= MOST_BYTES:
        raise ValueError(f"a body of {size} bytes; the limit is {MOST_BYTES}")
    return size


def _gunzip(body: bytes) -> bytes:
    """Return an uncompressed body, decompressing no more than the limit."""
    unzip = zlib.decompressobj(wbits=31)
    plain = unzip.decompress(body, MOST_BYTES + 1)
    _checked(len(plain))
    if not unzip.eof:
        raise ValueError("the gzip stream is truncated")
    return plain


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HttpServer

    def do_POST(self) -> None:
        """Receive one export request."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = self._read_body(headers)
            if headers.get("content-encoding") == "gzip":
                body = _gunzip(body)
            export = self.server.handle("http", self.path, headers, body)
        except Exception as error:  # noqa: BLE001 - zlib, protobuf and JSON share no class for malformed bodies
            export = Fault("INVALID_ARGUMENT", 400, repr(error)), b""
            self.close_connection = True  # the rest of the body may not have been read
            self.server.on_refused()
        self._respond(*export, is_json=headers.get("content-type", "").startswith(_JSON))

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(_checked(int(headers.get("content-length", "0"))))
        # RFC 9112, section 7.1: size in hex, data, CRLF; the last chunk has size 0.
        chunks: list[bytes] = []
        total = 0
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            total = _checked(total + _checked(size))
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue  # trailers
        return b"".join(chunks)

    def _respond(self, fault: Fault, body: bytes, *, is_json: bool) -> None:
        if fault.http_status is not None:
            # OTLP: the response has the encoding of the request.
            body = json.dumps({"message": fault.message}).encode() if is_json else _error_status(fault)
        self.send_response(fault.http_status or 200)
        self.send_header("content-type", _JSON if is_json else _PROTOBUF)
        self.send_header("content-length", str(len(body)))
        if fault.retry_after_s is not None:
            self.send_header("retry-after", f"{fault.retry_after_s:g}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Write no access log; `OtlpReceiver.requests` has the requests."""


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, port: int, handle: ExportHandler, tls: TlsFiles | None, on_refused: Callable[[], None]
    ) -> None:
        self.handle = handle
        self.on_refused = on_refused
        self._tls = None if tls is None else _ssl_context(tls)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, port), _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection; TLS handshakes run in the thread of the connection, not in the listener's."""
        with self._lock:
            self._open.add(request)
        try:
            if self._tls is None:
                super().finish_request(request, client_address)
            else:
                with self._tls.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, client_address)
        finally:
            with self._lock:
                self._open.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect or fail the handshake."""

    def close_connections(self) -> None:
        """Close keep-alive connections, as a server that is killed does."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client may have disconnected
                    connection.shutdown(socket.SHUT_RDWR)


def _ssl_context(tls: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.private_key)
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _nothing() -> None:
    """Do nothing."""


def serve_http(
    port: int, handle: ExportHandler, tls: TlsFiles | None, on_refused: Callable[[], None] = _nothing
) -> tuple[int, Callable[[], None]]:
    """Serve OTLP/HTTP on a loopback port, 0 for a free one; return the port, and a function that stops the server.

    `handle` is called for each request, and `on_refused` after a request whose body cannot be read, from several
    threads.
    """
    server = _HttpServer(port, handle, tls, on_refused)
    thread = threading.Thread(
        target=server.serve_forever, args=(0.05,), name="otlp-receiver-http", daemon=True
    )
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        server.close_connections()
        thread.join()

    return int(server.server_address[1]), stop


_TRACES, _LOGS = "trace.v1.TraceService", "logs.v1.LogsService"


def serve_grpc(
    port: int,
    handle: ExportHandler,
    tls: TlsFiles | None,
    *,
    logs: bool = False,
    most_bytes: int | None = None,
    on_refused: Callable[[], None] = _nothing,
) -> tuple[int, Callable[[], None]]:
    """Serve OTLP/gRPC on loopback; arguments and result as of `serve_http`.

    `logs` serves the service of log records too. `most_bytes` is the largest message, else that of grpcio.
    """
    import grpc

    def export(path: str, messages: Iterator[bytes], context: Any) -> bytes:
        body = b""
        try:
            body = next(messages)
        except (grpc.RpcError, StopIteration):
            # grpcio has refused the message as too large, or the client has cancelled.
            on_refused()
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no message")
        metadata = context.invocation_metadata()
        headers = {key: value for key, value in metadata if isinstance(value, str)}
        fault, response = handle("grpc", path, headers, body)
        if fault.grpc_code is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", _error_status(fault)),))
            context.abort(grpc.StatusCode[fault.grpc_code], fault.message)
        return response

    services = {_TRACES: "/v1/traces"} | ({_LOGS: "/v1/logs"} if logs else {})
    limit = () if most_bytes is None else (("grpc.max_receive_message_length", most_bytes),)
    server = grpc.server(
        ThreadPoolExecutor(max_workers=8, thread_name_prefix="otlp-receiver-grpc"),
        handlers=tuple(
            grpc.method_handlers_generic_handler(
                f"opentelemetry.proto.collector.{name}",
                # The handler of a unary method is not called for a message that is too large.
                {"Export": grpc.stream_unary_rpc_method_handler(partial(export, path))},
            )
            for name, path in services.items()
        ),
        # A port in use is an error; SO_REUSEPORT would share it.
        options=(("grpc.so_reuseport", 0), *limit),
    )
    address = f"{LOOPBACK}:{port}"
    if tls is None:
        bound = server.add_insecure_port(address)
    else:
        bound = server.add_secure_port(address, _grpc_credentials(tls))
    server.start()

    def stop() -> None:
        server.stop(grace=None).wait()

    return int(bound), stop


def _grpc_credentials(tls: TlsFiles) -> Any:
    import grpc

    client_ca = None if tls.client_ca is None else tls.client_ca.read_bytes()
    return grpc.ssl_server_credentials(
        [(tls.private_key.read_bytes(), tls.certificate.read_bytes())],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )
