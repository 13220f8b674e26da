"""Measure the inputs of estimate.py on this machine: sizes of spans, and what a collector spends on them.

python measure.py sizes
python measure.py load --to 127.0.0.1:4317 --pid 1234

The second sends spans to a running collector as fast as it takes them, and reads the CPU and memory of its process
from /proc. It needs: pip install 'eco2-tracing[demo]'
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from eco2_tracing import TracingSettings, configure_tracing, flush_tracing, instrument_app, span
from eco2_tracing.testing import OtlpReceiver

# isort: split
import grpc
import httpx
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SPANS_OF_TRACE = 8


def service() -> FastAPI:
    """A service that calls itself and makes two spans for each request."""
    app = FastAPI()
    instrument_app(app)

    @app.get("/api/v1/auth/users/{user_id}")
    async def outer(user_id: str) -> str:
        transport = httpx.ASGITransport(app)
        with span("verify credentials", attributes={"app.provider": "kakao"}):
            pass
        async with httpx.AsyncClient(
            transport=transport, base_url="http://character-api.character.svc"
        ) as client:
            return (await client.get(f"/api/v1/characters/{user_id}")).json()

    @app.get("/api/v1/characters/{user_id}")
    async def inner(user_id: str) -> str:
        with span(
            "SELECT characters", attributes={"db.system.name": "postgresql", "db.operation.name": "SELECT"}
        ):
            return user_id

    return app


async def send(app: FastAPI, count: int) -> None:
    """Send requests with the headers of a browser behind a gateway."""
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
    headers = {"user-agent": agent, "x-forwarded-for": "203.0.113.7", "x-request-id": "a" * 36}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://auth-api.auth.svc") as client:
        for number in range(count):
            await client.get(f"/api/v1/auth/users/{number}?fields=name,badges", headers=headers)


def size_of_spans(requests: int = 300) -> float:
    """The mean bytes of a span that the library exports, its share of the resource and scope included."""
    with OtlpReceiver() as receiver:
        settings = TracingSettings(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.grpc_endpoint)
        configure_tracing("auth-api", "1.2.0", "production", settings=settings)
        asyncio.run(send(service(), requests))
        flush_tracing()
        received = receiver.requests
        return sum(one.size for one in received) / sum(one.spans for one in received)


def otlp(count: int, attributes: int) -> Callable[[], bytes]:
    """A function that returns one export of a service."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    for key in ("service.name", "service.version", "k8s.pod.name", "k8s.namespace.name"):
        resource.resource.attributes.add(key=key).value.string_value = "auth-api-7c9f"
    spans = resource.scope_spans.add().spans
    now = time.time_ns()
    for number in range(count):
        made = spans.add(name="GET /api/v1/users/{user_id}", kind=2, span_id=(number + 1).to_bytes(8, "big"))
        made.start_time_unix_nano, made.end_time_unix_nano = now, now + 5_000_000
        for key in range(attributes):
            made.attributes.add(
                key=f"http.request.attribute.{key}"
            ).value.string_value = "/api/v1/users/12345"

    def renewed() -> bytes:
        for number, one in enumerate(spans):
            if number % SPANS_OF_TRACE == 0:
                trace_id = os.urandom(16)
            one.trace_id = trace_id
        return request.SerializeToString()

    return renewed


def zipkin(count: int) -> Callable[[], bytes]:
    """A function that returns one export of an Envoy sidecar of Istio."""
    tags = {
        f"istio.{key}": "auth-api"
        for key in ("canonical_service", "canonical_revision", "mesh_id", "namespace")
    }
    tags |= {
        "http.method": "GET",
        "http.protocol": "HTTP/1.1",
        "http.status_code": "200",
        "component": "proxy",
    }
    tags |= {"http.url": "http://auth-api.auth.svc.cluster.local/api/v1/users/12345", "response_flags": "-"}
    tags |= {
        "guid:x-request-id": "a" * 36,
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
        "response_size": "20",
    }
    tags |= {"upstream_cluster": "inbound|8000||", "node_id": "sidecar~10.0.0.1~auth-api-7c9f.auth"}
    span = {"name": "auth-api.auth.svc.cluster.local:80/*", "kind": "SERVER", "duration": 5000, "tags": tags}
    span |= {"localEndpoint": {"serviceName": "auth-api.auth", "ipv4": "10.0.0.1", "port": 15006}}
    now = time.time_ns() // 1000

    def renewed() -> bytes:
        ids = [os.urandom(16).hex() for _ in range(count // SPANS_OF_TRACE + 1)]
        made = (
            {"traceId": ids[n // SPANS_OF_TRACE], "id": f"{n + 1:016x}", "timestamp": now}
            for n in range(count)
        )
        return json.dumps([one | span for one in made]).encode()

    return renewed


def cpu_s(pid: int) -> float:
    """The CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """The bytes of memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load(options: argparse.Namespace) -> str:
    """Send for some seconds; return what the process spent."""
    renewed = zipkin(options.spans) if options.zipkin else otlp(options.spans, options.attributes)
    sent = size = 0
    cpu, memory = cpu_s(options.pid), resident(options.pid)
    with grpc.insecure_channel(options.to) as channel, httpx.Client(trust_env=False, timeout=30) as client:
        export = channel.unary_unary(EXPORT)
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            body = renewed()
            if options.zipkin:
                headers = {"content-type": "application/json"}
                client.post(
                    f"http://{options.to}/api/v2/spans", content=body, headers=headers
                ).raise_for_status()
            else:
                export(body, timeout=30)
            sent, size = sent + options.spans, size + len(body)
    used, grown = cpu_s(options.pid) - cpu, resident(options.pid) - memory
    return (
        f"{sent} spans of {size / sent:.0f} bytes: {1e6 * used / sent:.1f} µs of CPU a span, so "
        f"{sent / used:,.0f} spans a second and core; memory grew by {grown / sent:.0f} bytes a span"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure the inputs of estimate.py.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sizes")
    loading = commands.add_parser("load")
    loading.add_argument("--to", default="127.0.0.1:4317", help="host and port of the OTLP gRPC receiver")
    loading.add_argument("--pid", type=int, required=True, help="the collector's process")
    loading.add_argument("--spans", type=int, default=128, help="spans of an export")
    loading.add_argument(
        "--attributes", type=int, default=6, help="attributes of an OTLP span; Envoy's have 17"
    )
    loading.add_argument("--seconds", type=float, default=10)
    loading.add_argument(
        "--zipkin", action="store_true", help="send as Envoy does; --to is the Zipkin receiver"
    )
    options = parser.parse_args()
    if options.command == "sizes":
        print(f"{size_of_spans():.0f} bytes a span")
    else:
        print(load(options))


if __name__ == "__main__":
    main()
