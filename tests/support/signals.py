"""A collector of all three signals in the process of a test, over gRPC and HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SERVICES = {
    "traces": ("Trace", ExportTraceServiceRequest),
    "metrics": ("Metrics", ExportMetricsServiceRequest),
    "logs": ("Logs", ExportLogsServiceRequest),
}


def plain(value: Any) -> Any:
    """An ``AnyValue`` as a Python object."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)


def attributes(pairs: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {pair.key: plain(pair.value) for pair in pairs}


@dataclass
class Received:
    """What has arrived.

    Attributes:
        requests: Signal, message and headers of each request.
        peers: The connections that each signal used.
    """

    requests: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    peers: set[tuple[str, str]] = field(default_factory=set)
    answer: Callable[[str], bytes] = lambda _signal: b""
    changed: threading.Condition = field(default_factory=threading.Condition)
    grpc_endpoint: str = ""
    http_endpoint: str = ""

    def add(self, signal: str, body: bytes, headers: dict[str, str], peer: str) -> bytes:
        """Store a request; return the answer."""
        message = SERVICES[signal][1].FromString(body)
        with self.changed:
            self.requests.append((signal, message, headers))
            self.peers.add((signal, peer))
            self.changed.notify_all()
        return self.answer(signal)

    def of(self, signal: str) -> list[Any]:
        """The messages of a signal."""
        with self.changed:
            return [message for name, message, _ in self.requests if name == signal]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and data points of a metric, of the last request that has it."""
        found: list[tuple[dict[str, Any], Any]] = []
        for message in self.of("metrics"):
            here = [
                (attributes(point.attributes), point)
                for metric in metrics_of(message)
                if metric.name == name
                for point in getattr(metric, metric.WhichOneof("data")).data_points
            ]
            found = here or found
        return found

    def metric(self, name: str) -> Any:
        """The last metric of a name."""
        found = [each for message in self.of("metrics") for each in metrics_of(message) if each.name == name]
        return found[-1] if found else None

    def metric_names(self) -> set[str]:
        """The names of all metrics."""
        return {metric.name for message in self.of("metrics") for metric in metrics_of(message)}

    def log_records(self) -> list[tuple[str, Any, dict[str, Any]]]:
        """Scope, record and attributes of each log record."""
        return [
            (scope.scope.name, record, attributes(record.attributes))
            for message in self.of("logs")
            for resource in message.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def spans(self) -> list[Any]:
        """All spans."""
        return [
            span
            for message in self.of("traces")
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_until(self, condition: Callable[[], Any], timeout_s: float = 20.0) -> Any:
        """Wait for a condition on what has arrived; return its value."""
        deadline = monotonic() + timeout_s
        with self.changed:
            while not (found := condition()):
                left = deadline - monotonic()
                assert left > 0, f"received only {[name for name, _, _ in self.requests]}"
                self.changed.wait(left)
            return found


def metrics_of(message: Any) -> Iterator[Any]:
    """The metrics of a request."""
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def _grpc_server(received: Received) -> Any:
    def handler(signal: str) -> Any:
        def export(body: bytes, context: Any) -> bytes:
            headers = {key: str(value) for key, value in context.invocation_metadata()}
            return received.add(signal, body, headers, context.peer())

        return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(ThreadPoolExecutor(4))
    for signal, (name, _) in SERVICES.items():
        service = f"opentelemetry.proto.collector.{name.lower()}.v1.{name}Service"
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {"Export": handler(signal)}),)
        )
    port = server.add_insecure_port("127.0.0.1:0")
    received.grpc_endpoint = f"http://127.0.0.1:{port}"
    server.start()
    return server


def _http_server(received: Received) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            signal = self.path.rpartition("/")[2]
            if signal not in SERVICES:
                self.send_response(404)
                self.send_header("content-length", "0")
                self.end_headers()
                return
            headers = {key.lower(): value for key, value in self.headers.items()}
            answer = received.add(
                signal,
                body,
                headers,
                f"{self.client_address[0]}:{self.client_address[1]}",
            )
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received.http_endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@contextmanager
def collector() -> Iterator[Received]:
    """A collector that listens on both protocols."""
    received = Received()
    grpc_server, http_server = _grpc_server(received), _http_server(received)
    try:
        yield received
    finally:
        grpc_server.stop(0).wait()
        http_server.shutdown()
        http_server.server_close()
