"""Real OTLP servers with configurable faults."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

LIMIT_S = 30.0
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def eventually(condition: Any, limit_s: float = LIMIT_S) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + limit_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition never came to hold"
        pause.wait(0.01)


def partial_success(rejected: int, message: str) -> bytes:
    """Return a response with a partial success."""
    part = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
    return bytes(ExportTraceServiceResponse(partial_success=part).SerializeToString())


class Received:
    """The requests that a receiver got. It responds with ``faults`` first."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.faults: deque[Any] = deque()
        self.always: Any = None
        self.attempts = 0
        self.gate: threading.Event | None = None

    def take_fault(self) -> Any:
        """Count an attempt and return the fault to respond with."""
        with self.changed:
            self.attempts += 1
            self.changed.notify_all()
            return self.faults.popleft() if self.faults else self.always

    def add(self, body: bytes, headers: dict[str, str]) -> None:
        """Keep an accepted request."""
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        with self.changed:
            self.requests.append(request)
            self.headers.append(headers)
            self.changed.notify_all()

    @property
    def spans(self) -> list[Any]:
        """All spans, in the order of arrival."""
        with self.changed:
            return [
                span
                for request in self.requests
                for resource in request.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [span.name for span in self.spans]

    def wait(self, condition: Any) -> None:
        """Wait until a condition holds for the received spans."""
        eventually(condition)


class GrpcReceiver(Received):
    """A gRPC server; a fault is ``(code, message, trailing metadata)`` or the bytes of an answer."""

    def __init__(
        self, port: int = 0, credentials: Any = None, options: Any = (), address: str | None = None
    ) -> None:
        super().__init__()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0), *options)
        )
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        where = address or f"127.0.0.1:{port}"
        if credentials:
            self.port = self._server.add_secure_port(where, credentials)
        else:
            self.port = self._server.add_insecure_port(where)
        self._server.start()
        self.endpoint = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, grace: float | None = None) -> None:
        """Stop at once, or after the running calls."""
        if self.gate:
            self.gate.set()
        self._server.stop(grace).wait()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    def __init__(self, receiver: GrpcReceiver) -> None:
        self._receiver = receiver

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._export) if details.method == METHOD else None

    def _export(self, body: bytes, context: Any) -> bytes:
        receiver = self._receiver
        fault = receiver.take_fault()
        if receiver.gate:
            receiver.gate.wait(LIMIT_S)
        if isinstance(fault, tuple):
            code, message, trailers = fault
            context.set_trailing_metadata(trailers)
            context.abort(code, message)
        receiver.add(body, {key: str(value) for key, value in context.invocation_metadata()})
        return fault or b""


class HttpReceiver(Received):
    """An HTTP server; a fault is ``(status, headers)`` or the bytes of an answer."""

    def __init__(self, port: int = 0, context: Any = None, protocol: str = "HTTP/1.1") -> None:
        super().__init__()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = protocol

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                fault = receiver.take_fault()
                if receiver.gate:
                    receiver.gate.wait(LIMIT_S)
                status, headers = fault if isinstance(fault, tuple) else (200, {})
                answer = fault if isinstance(fault, bytes) else b""
                if status == 200:
                    if self.headers.get("content-encoding") == "gzip":
                        body = gzip.decompress(body)
                    receiver.add(body, {k.lower(): v for k, v in self.headers.items()} | {":path": self.path})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Stay silent: clients that go away are what is tested."""

        self._server = Server(("127.0.0.1", port), Handler)
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        scheme = "https" if context else "http"
        self.endpoint = f"{scheme}://localhost:{self.port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.gate:
            self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class BlackHole:
    """A server that accepts connections and never responds."""

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class Scripted:
    """A TCP server that runs a function for each connection.

    Args:
        script: Called with the connected socket, closed afterwards.
    """

    def __init__(self, script: Any) -> None:
        self._script = script
        self.connections = 0

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                # What a script has sent is there: it does not wait for the client to acknowledge what came before.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                try:
                    self._script(connection)
                except OSError:
                    pass


@contextmanager
def unreachable() -> Iterator[int]:
    """A server with a full backlog: connections are never established."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        yield full.getsockname()[1]
