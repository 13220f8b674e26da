"""The receiver: a process with a gRPC and an HTTP port for each variant, which counts what arrives.

It accepts OTLP over both, and answers any other HTTP request with 200: ddtrace's agent, an APM
server and Sentry's ingest are thereby accepted as well. Bodies are parsed when they are counted,
so that receiving costs little during a measurement.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

from benchmarks.peers import Sink

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass
class Arrived:
    """What one variant has sent.

    Attributes:
        requests: Server spans, or what the back end's protocol calls a trace or transaction.
        spans: All spans of OTLP.
        bytes: Bytes of all bodies, as sent.
    """

    requests: int = 0
    spans: int = 0
    bytes: int = 0
    waiting: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list, repr=False)

    def count(self) -> dict[str, int]:
        """Parse what has come since the last call; give the sums."""
        waiting, self.waiting = self.waiting, []
        for path, headers, body in waiting:
            self._parse(path, headers, body)
        return {"requests": self.requests, "spans": self.spans, "bytes": self.bytes}

    def _parse(self, path: str, headers: dict[str, str], body: bytes) -> None:
        encoding = headers.get("content-encoding", "")
        body = gzip.decompress(body) if encoding == "gzip" else body
        body = zlib.decompressobj().decompress(body) if encoding == "deflate" else body
        if path == EXPORT or path.endswith("/v1/traces"):
            self._parse_otlp(body)
        elif "/traces" in path:  # ddtrace's agent
            self.requests += int(headers.get("x-datadog-trace-count", "0"))
        elif path.startswith("/intake/"):  # Elastic's APM server
            self.requests += body.count(b'\n{"transaction"')
        elif path.endswith("/envelope/"):  # Sentry's ingest
            # A line for the envelope, then two for each item: its header and its payload.
            headers_of_items = body.split(b"\n")[1::2]
            self.requests += sum(b'"type":"transaction"' in line for line in headers_of_items)

    def _parse_otlp(self, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans += len(scope.spans)
                self.requests += sum(span.kind == 2 for span in scope.spans)


def _handler(arrived: Arrived) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self._body()
            arrived.bytes += len(body)
            arrived.waiting.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            # A version for APM's client; rates for ddtrace's. An OTLP client takes no notice.
            reply = b"" if self.path.startswith("/v1/") else b'{"version": "8.15.0", "rate_by_service": {}}'
            self.send_response(200)
            self.send_header("content-type", self.headers.get("content-type", "application/json"))
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST = do_PUT = _answer  # noqa: N815 - the base class's names

        def _body(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", "0")))
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def log_message(self, *_args: object) -> None:
            """Print nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: object) -> None:
        """Clients that end in the middle of a request are no news."""


def _serve(arrived: Arrived) -> dict[str, int]:
    import grpc

    http = _Server(("127.0.0.1", 0), _handler(arrived))
    Thread(target=http.serve_forever, daemon=True).start()

    def export(body: bytes, _context: Any) -> bytes:
        arrived.bytes += len(body)
        arrived.waiting.append((EXPORT, {}, body))
        return b""

    class Service(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(export) if details.method == EXPORT else None

    server = grpc.server(ThreadPoolExecutor(2), handlers=(Service(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _SERVERS.append(server)
    return {"grpc": port, "http": http.server_port}


_SERVERS: list[Any] = []


def main(count: int) -> None:
    """Open the ports, print them, and print the sums of one variant for each number on standard input."""
    all_arrived = [Arrived() for _ in range(count)]
    print(json.dumps([_serve(arrived) for arrived in all_arrived]), flush=True)
    for line in sys.stdin:
        print(json.dumps(all_arrived[int(line)].count()), flush=True)


class Receiver:
    """The receiver's process, from the outside.

    Args:
        count: How many variants there are.
        prefix: Words before the command, such as ``taskset -c 1``.
    """

    def __init__(self, count: int, prefix: tuple[str, ...] = ()) -> None:
        command = [*prefix, sys.executable, "-m", "benchmarks.cost._sink", str(count)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self.sinks = [Sink(**ports) for ports in json.loads(self._out.readline())]

    def arrived(self, index: int) -> dict[str, int]:
        """Give what one variant has sent until now."""
        self._in.write(f"{index}\n")
        self._in.flush()
        counts: dict[str, int] = json.loads(self._out.readline())
        return counts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._in.close()
        self._process.wait(30)
        self._out.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
