"""Sends spans at a rate to an OTLP receiver: ``python -m benchmarks.view._sender PORT SPANS_PER_SECOND SECONDS``.

Two services export batches over gRPC, each on a connection of its own. A trace has ten spans, five of each service. The
last line of the output is JSON: what was sent, what was answered, and the CPU time of this process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

BATCH, OF_A_SERVICE = 512, 5
SERVICES = ("shop", "stock")
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_CLIENT, _SERVER = 3, 2
_SHAPES: tuple[tuple[str, int, dict[str, str | int]], ...] = (
    (
        "GET /cart/{item}",
        _SERVER,
        {
            "http.request.method": "GET",
            "url.path": "/cart/7",
            "url.scheme": "http",
            "http.route": "/cart/{item}",
            "http.response.status_code": 200,
            "server.address": "shop.local",
            "server.port": 8000,
            "client.address": "10.0.0.7",
            "network.protocol.version": "1.1",
            "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        },
    ),
    *(
        (
            "SELECT items",
            _CLIENT,
            {
                "db.system.name": "postgresql",
                "db.namespace": "shop",
                "db.query.text": f"SELECT id, name, price FROM items WHERE cart = $1 AND shelf = {at}",
                "server.address": "db.local",
                "server.port": 5432,
            },
        )
        for at in range(3)
    ),
    (
        "GET",
        _CLIENT,
        {
            "http.request.method": "GET",
            "url.full": "http://stock.local:8001/stock/7?shelf=3",
            "server.address": "stock.local",
            "server.port": 8001,
            "http.response.status_code": 200,
        },
    ),
)


def _key_values(values: dict[str, str | int]) -> list[KeyValue]:
    made = []
    for key, value in values.items():
        pair = KeyValue(key=key)
        if isinstance(value, str):
            pair.value.string_value = value
        else:
            pair.value.int_value = value
        made.append(pair)
    return made


def _batch(service: str) -> ExportTraceServiceRequest:
    """Return a request whose spans lack ids and times."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    resource = {
        "service.name": service,
        "service.version": "1.4.2",
        "service.instance.id": f"{service}-6f7c",
        "host.name": "box",
        "process.pid": 4242,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.2",
    }
    group.resource.attributes.extend(_key_values(resource))
    scope = group.scope_spans.add()
    scope.scope.name = "eco2_tracing"
    for at in range(BATCH):
        name, kind, attributes = _SHAPES[at % OF_A_SERVICE]
        scope.spans.append(Span(name=name, kind=kind, attributes=_key_values(attributes), flags=257))
    return made


def _fill(spans: list[Span], trace_ids: list[bytes], *, first: bool) -> None:
    """Give the spans ids and times: each service has a span that the others are below."""
    now = time.time_ns()
    for at, span in enumerate(spans):
        place = at % OF_A_SERVICE
        span.trace_id = trace_ids[at // OF_A_SERVICE]
        base = span.trace_id[:7]
        number = place + (1 if first else 1 + OF_A_SERVICE)
        span.span_id = base + bytes((number,))
        parent = 0 if number == 1 else OF_A_SERVICE if place == 0 else number - place
        span.parent_span_id = base + bytes((parent,)) if parent else b""
        span.start_time_unix_nano = now + number * 1_000_000
        span.end_time_unix_nano = now + 50_000_000 - number * 1_000_000


class _Service:
    """Exports the spans of one service, one batch after the other."""

    def __init__(self, service: str, port: int) -> None:
        self._request = _batch(service)
        self._spans = list(self._request.resource_spans[0].scope_spans[0].spans)
        self._first = service == SERVICES[0]
        self._export = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary(
            EXPORT,
            request_serializer=ExportTraceServiceRequest.SerializeToString,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )
        self.sent = self.failed = self.rejected = 0
        self.slowest_s = 0.0

    def send(self, trace_ids: list[bytes]) -> None:
        _fill(self._spans, trace_ids, first=self._first)
        begin = time.monotonic()
        self.sent += BATCH
        try:
            response = self._export(self._request, timeout=10)
            self.rejected += response.partial_success.rejected_spans
        except grpc.RpcError:
            self.failed += BATCH
        self.slowest_s = max(self.slowest_s, time.monotonic() - begin)

    def run(self, seed: bytes, every_s: float, count: int) -> None:
        begin = time.monotonic() + every_s / 2 * (not self._first)
        for turn in range(count):
            time.sleep(max(begin + turn * every_s - time.monotonic(), 0))
            ids = [seed + (turn * BATCH + at).to_bytes(8, "big") for at in range(-(-BATCH // OF_A_SERVICE))]
            # The viewer's rows are few if all ids begin alike, which theirs do not.
            self.send([one[::-1] for one in ids])


def main() -> None:
    """Send, and print what happened."""
    port, rate, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    every_s = BATCH * len(SERVICES) / rate
    count = round(seconds / every_s)
    seed = os.urandom(8)
    services = [_Service(service, port) for service in SERVICES]
    threads = [threading.Thread(target=one.run, args=(seed, every_s, count)) for one in services]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    times = os.times()
    print(
        json.dumps(
            {
                "sent": sum(one.sent for one in services),
                "traces": count * -(-BATCH // OF_A_SERVICE),
                "failed": sum(one.failed for one in services),
                "rejected": sum(one.rejected for one in services),
                "slowest_s": max(one.slowest_s for one in services),
                "seconds": took,
                "cpu_s": times.user + times.system,
            }
        )
    )


if __name__ == "__main__":
    main()
