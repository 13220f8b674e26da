"""Envoy as a gateway, configured as istiod configures it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from eco2_tracing._cli.processes import Child

Config = dict[str, Any]  # Envoy's JSON, read and changed at every depth

GATEWAY = "istio-ingressgateway"
# Envoy sends its spans at once, instead of after five seconds.
RUNTIME = {
    f"tracing.{kind}.{key}": value
    for kind in ("zipkin", "opentelemetry")
    for key, value in (("min_flush_spans", 1), ("flush_interval_ms", 100))
}
_OPERATION = "auth-api.auth:80/*"  # istiod names a gateway's spans by host, port and route


def find_envoy() -> str | None:
    """The path of the command `envoy`: beside this Python, where its wheel puts it, else on PATH."""
    beside = Path(sys.executable).parent
    return shutil.which("envoy", path=os.pathsep.join((str(beside), os.environ.get("PATH", ""))))


def typed(name: str, **fields: object) -> Config:
    """A message of Envoy's API with its type URL."""
    return {"@type": f"type.googleapis.com/envoy.{name}", **fields}


def cluster(name: str, host: str, port: int) -> Config:
    """A cluster of one endpoint that speaks HTTP/1.1."""
    address = {"socket_address": {"address": host, "port_value": port}}
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "dns_lookup_family": "V4_PREFERRED",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def zipkin_tracer() -> Config:
    """Istio's default tracer: Zipkin, B3, 128-bit ids; it exports to the cluster `tracing`."""
    config = typed(
        "config.trace.v3.ZipkinConfig",
        collector_cluster="tracing",
        collector_endpoint="/api/v2/spans",
        collector_endpoint_version="HTTP_JSON",
        trace_id_128bit=True,
        shared_span_context=False,
        trace_context_option="USE_B3",
    )
    return {"name": "envoy.tracers.zipkin", "typed_config": config}


def _connection_manager() -> Config:
    # uvicorn closes a connection after an exception. Envoy may have sent the next request on it.
    target = {"cluster": "app", "retry_policy": {"retry_on": "connect-failure,reset", "num_retries": 2}}
    route = {"match": {"prefix": "/"}, "route": target, "decorator": {"operation": _OPERATION}}
    router = typed("extensions.filters.http.router.v3.Router")
    return typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="gateway",
        tracing={"provider": zipkin_tracer(), "random_sampling": {"value": 100}},
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": router}],
    )


def gateway_config(app: Config, tracing: Config) -> Config:
    """A gateway that samples every request and routes it to one service."""
    loopback = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    listener = {
        "name": "gateway",
        "address": loopback,
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [{"name": "http", "typed_config": _connection_manager()}]}],
    }
    return {
        "node": {"id": "gateway", "cluster": GATEWAY},
        "admin": {"address": loopback},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": RUNTIME}]},
        "static_resources": {"listeners": [listener], "clusters": [app, tracing]},
    }


class Envoy(Child):
    """A running Envoy.

    Args:
        name: Its name in messages.
        command: The path of `envoy`.
        config: Its whole configuration.
        environ: Its whole environment.
        options: More command line options.

    Attributes:
        urls: `http://host:port` of each listener, by the listener's name.
    """

    def __init__(
        self, name: str, command: str, config: Config, environ: Mapping[str, str], options: Sequence[str] = ()
    ) -> None:
        arguments = ("--config-yaml", json.dumps(config), "--concurrency", "1", "--disable-hot-restart")
        super().__init__(name, (command, *arguments, *options), environ, grace_s=2.0)
        with ExitStack() as stack:
            stack.callback(self.stop)
            admin = self.wait_for_line(r"admin address: (\S+)").group(1)
            self.wait_for_line("starting workers")
            self.urls = _urls(admin)
            stack.pop_all()


def _urls(admin: str) -> dict[str, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{admin}/listeners?format=json", timeout=10) as response:
        listeners = json.load(response)["listener_statuses"]
    ports = {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in listeners}
    return {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
