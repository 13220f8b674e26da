"""Envoy's tracing configuration by istiod, with each provider, as of Istio 1.32 and 1.27.

Fields and values are those of Istio's `pilot/pkg/networking/core/tracing.go`, `.../listener_builder.go`,
`.../route/route.go` and `pkg/bootstrap/config.go`, read at commit 86c9f01 of 22 August 2026; names and addresses
are of this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eco2_tracing._cli.envoy import Config, typed, zipkin_tracer

# A proxy calls itself by its label `app` and its namespace: `serviceClusterOrDefault`.
GATEWAY = "istio-ingressgateway.istio-system"
_COLLECTOR = "jaeger-collector.observability.svc.cluster.local"
# `retry.DefaultPolicy` and `defaultInboundRetryOn`.
_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_INBOUND_RETRY_ON = "reset-before-request"


@dataclass(frozen=True)
class Provider:
    """A tracing provider of Istio's mesh configuration.

    Attributes:
        speaks: The protocol of the backend: `zipkin` or `otlp`.
        options: Fields of the Zipkin tracer.
        variables: Environment variables of the services for this provider.
        current: As of Istio 1.29. Before 1.28 a gateway had one span for a request and all attempts,
            and the Zipkin tracer had other fields.
    """

    speaks: str
    options: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    current: bool = True

    def tracer(self, service: str) -> Config:
        """The tracer of one proxy."""
        if self.speaks == "otlp":
            # istiod sets no timeout unless the provider has one.
            grpc = {"envoy_grpc": {"cluster_name": "tracing", "authority": _COLLECTOR}}
            config = typed("config.trace.v3.OpenTelemetryConfig", grpc_service=grpc, service_name=service)
            return {"name": "envoy.tracers.opentelemetry", "typed_config": config}
        made = zipkin_tracer()
        zipkin = made["typed_config"]
        if self.current:
            del zipkin["collector_cluster"], zipkin["collector_endpoint"]
            uri = f"http://{_COLLECTOR}/api/v2/spans"
            zipkin["collector_service"] = {"http_uri": {"uri": uri, "cluster": "tracing", "timeout": "5s"}}
        else:
            del zipkin["trace_context_option"]
            zipkin["collector_hostname"] = _COLLECTOR
        zipkin.update(self.options)
        return made

    def tracing(self, service: str, sampling: float) -> Config:
        """The tracing of a connection manager: `configureTracingFromTelemetry`.

        Args:
            service: The service name of the proxy.
            sampling: Per cent of the requests without a decision: `randomSamplingPercentage`.
        """
        name, _, namespace = service.partition(".")
        tags = {
            "istio.canonical_revision": "latest",
            "istio.canonical_service": name,
            "istio.cluster_id": "Kubernetes",
            "istio.mesh_id": "cluster.local",
            "istio.namespace": namespace,
        }
        made: Config = {
            "provider": self.tracer(service),
            "client_sampling": {"value": 100},
            "random_sampling": {"value": sampling},
            "overall_sampling": {"value": 100},
            "custom_tags": [{"tag": tag, "literal": {"value": value}} for tag, value in tags.items()],
        }
        if self.current and service == GATEWAY:
            made["spawn_upstream_span"] = True
        return made


PROVIDERS = {
    "Zipkin": Provider("zipkin"),
    "Zipkin of Istio 1.27, 64-bit ids": Provider("zipkin", {"trace_id_128bit": False}, current=False),
    "Zipkin with W3C": Provider("zipkin", {"trace_context_option": "USE_B3_WITH_W3C_PROPAGATION"}),
    "OpenTelemetry": Provider("otlp", {}, {"OTEL_PROPAGATORS": "tracecontext,b3,baggage"}),
}


def manager(name: str, tracing: Config, routes: list[Config], access_log: Config, *, edge: bool) -> Config:
    """A connection manager: `buildHTTPConnectionManager`.

    Args:
        name: Of its statistics.
        tracing: What :meth:`Provider.tracing` made.
        routes: All of its routes.
        access_log: Where it logs.
        edge: Whether it is a gateway's, which replaces external request ids.
    """
    ids = typed("extensions.request_id.uuid.v3.UuidRequestIdConfig", use_request_id_for_trace_sampling=True)
    router = typed("extensions.filters.http.router.v3.Router")
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        server_name="istio-envoy",
        use_remote_address=edge,
        normalize_path=True,
        upgrade_configs=[{"upgrade_type": "websocket"}],
        stream_idle_timeout="0s",
        request_id_extension={"typed_config": ids},
        tracing=tracing,
        access_log=[access_log],
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": router}],
    )


def route(cluster: str, direction: str) -> Config:
    """The default action of a route: no timeout, and two retries.

    Args:
        cluster: The name of the cluster.
        direction: ``INBOUND`` or ``OUTBOUND``.
    """
    made: Config = {"cluster": cluster, "timeout": "0s"}
    if direction == "INBOUND":
        made["max_stream_duration"] = {"max_stream_duration": "0s", "grpc_timeout_header_max": "0s"}
        made["retry_policy"] = {"retry_on": _INBOUND_RETRY_ON, "num_retries": 2}
    else:
        made["retry_policy"] = {
            "retry_on": _RETRY_ON,
            "num_retries": 2,
            "host_selection_retry_max_attempts": 5,
        }
    return made
