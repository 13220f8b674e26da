"""Envoy as the mesh's gateway, configured as istiod does it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eco2_tracing._cli.processes import Child

Config = dict[str, Any]

GATEWAY = "istio-ingressgateway"
_TYPES = "type.googleapis.com/envoy"
_HCM = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def find_envoy() -> str | None:
    """The command ``envoy``: beside this Python, as its wheel puts it, or on the PATH."""
    beside = Path(sys.executable).parent
    return shutil.which("envoy", path=os.pathsep.join((str(beside), os.environ.get("PATH", ""))))


def _typed(name: str, **fields: object) -> Config:
    return {"@type": f"{_TYPES}.{name}", **fields}


def cluster(name: str, host: str, port: int, *, http2: bool = False) -> Config:
    """Where Envoy sends something.

    Args:
        name: What the configuration calls it.
        host: Name or address.
        port: TCP port.
        http2: Speak HTTP/2, as gRPC does.
    """
    address = {"socket_address": {"address": host, "port_value": port}}
    made: Config = {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "dns_lookup_family": "V4_PREFERRED",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if http2:
        options: Config = {"explicit_http_config": {"http2_protocol_options": {}}}
        name = "extensions.upstreams.http.v3.HttpProtocolOptions"
        made["typed_extension_protocol_options"] = {f"envoy.{name}": _typed(name, **options)}
    return made


def zipkin_tracer(trace_context_option: str = "USE_B3") -> Config:
    """The tracer of a sidecar by default: Zipkin, B3, ids of 128 bits.

    Args:
        trace_context_option: ``USE_B3``, or ``USE_B3_WITH_W3C_PROPAGATION`` as Istio has it
            from 1.28 on.

    Returns:
        A provider that sends to the cluster ``tracing``.
    """
    return {
        "name": "envoy.tracers.zipkin",
        "typed_config": _typed(
            "config.trace.v3.ZipkinConfig",
            collector_cluster="tracing",
            collector_endpoint="/api/v2/spans",
            collector_endpoint_version="HTTP_JSON",
            trace_id_128bit=True,
            shared_span_context=False,
            trace_context_option=trace_context_option,
        ),
    }


def _connection_manager(tracer: Config, sampling: float, operation: str) -> Config:
    route = {
        "match": {"prefix": "/"},
        "route": {"cluster": "app"},
        "decorator": {"operation": operation},
    }
    return _typed(
        _HCM,
        stat_prefix="gateway",
        tracing={
            "provider": tracer,
            "client_sampling": {"value": 100},
            "random_sampling": {"value": sampling},
            "overall_sampling": {"value": 100},
        },
        access_log=[
            {
                "name": "envoy.access_loggers.stdout",
                "typed_config": _typed(
                    "extensions.access_loggers.stream.v3.StdoutAccessLog",
                    log_format={
                        "json_format": {
                            "trace_id": "%TRACE_ID%",
                            "request_id": "%REQ(X-REQUEST-ID)%",
                            "path": "%REQ(:PATH)%",
                            "status": "%RESPONSE_CODE%",
                        }
                    },
                ),
            }
        ],
        route_config={
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
        },
        http_filters=[
            {
                "name": "envoy.filters.http.router",
                "typed_config": _typed("extensions.filters.http.router.v3.Router"),
            }
        ],
    )


def gateway_config(
    tracer: Config,
    clusters: Sequence[Config],
    *,
    sampling: float = 100.0,
    operation: str = "auth-api.auth:80/*",
) -> Config:
    """A gateway on a free port that sends everything to one service.

    Args:
        tracer: The tracing provider, such as :func:`zipkin_tracer` makes.
        clusters: The clusters ``app`` and ``tracing``.
        sampling: Per cent of the requests without a decision to sample.
        operation: The name of the gateway's spans: istiod gives host, port and route.
    """
    loopback = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    listener = {
        "name": "gateway",
        "address": loopback,
        "traffic_direction": "OUTBOUND",
        "filter_chains": [
            {"filters": [{"name": "http", "typed_config": _connection_manager(tracer, sampling, operation)}]}
        ],
    }
    # Spans leave at once: a demo and a test do not wait the five seconds of a quiet gateway.
    runtime = {
        f"tracing.{kind}.{key}": value
        for kind in ("zipkin", "opentelemetry")
        for key, value in (("min_flush_spans", 1), ("flush_interval_ms", 100))
    }
    return {
        "node": {"id": "gateway", "cluster": GATEWAY},
        "admin": {"address": loopback},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": runtime}]},
        "static_resources": {"listeners": [listener], "clusters": list(clusters)},
    }


class Envoy(Child):
    """A running gateway.

    Args:
        command: The path of ``envoy``.
        config: What :func:`gateway_config` made.
        environ: Its whole environment.

    Attributes:
        url: Where it listens, without a path.
        version: Envoy's own version, such as ``1.40.0``.
    """

    def __init__(self, command: str, config: Config, environ: Mapping[str, str]) -> None:
        arguments = ("--config-yaml", json.dumps(config), "--concurrency", "1", "--disable-hot-restart")
        super().__init__("envoy", (command, *arguments), environ, grace_s=2.0)
        try:
            admin = self.wait_for_line(r"admin address: (\S+)").group(1)
            self.wait_for_line("starting workers")
            # "<commit>/1.40.0/Clean/RELEASE/BoringSSL"
            self.version: str = _ask(admin, "server_info")["version"].split("/")[1]
            listener = _ask(admin, "listeners?format=json")["listener_statuses"][0]
            self.url = f"http://127.0.0.1:{listener['local_address']['socket_address']['port_value']}"
        except BaseException:
            self.stop()
            raise


def _ask(admin: str, path: str) -> Config:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{admin}/{path}", timeout=10) as response:
        told: Config = json.load(response)
        return told
