"""The kit in a cluster of one node: a real API server, istiod, a gateway, and two services with sidecars."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from tests.support import crds
from tests.support.api_server import namespaces as namespaces_of
from tests.support.api_server import running_api_server
from tests.support.cluster import TRACE_HEADER, Cluster, Workload, start_service
from tests.support.istiod import ROOT_NAMESPACE, Istiod, PodProxy
from tests.support.jaeger_client import Jaeger, wait_for
from tests.support.kit_variants import character_api, documents
from tests.support.pods import Pod, Pods

Document = dict[str, Any]
GATEWAY = "istio-ingressgateway"
_LABELS = {"app": GATEWAY, "istio": "ingressgateway"}
# The gateway is a part of Istio's installation, and not of the kit.
_GATEWAY_POD: Document = {
    "metadata": {"labels": _LABELS},
    "spec": {"containers": [{"name": "proxy", "image": "proxy", "ports": [{"containerPort": 8080}]}]},
}
_ISTIOD_POD: Document = {
    "metadata": {"labels": {"app": "istiod"}},
    "spec": {"containers": [{"name": "discovery", "image": "pilot"}]},
}
_GATEWAY: list[Document] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": GATEWAY, "namespace": ROOT_NAMESPACE},
        "spec": {"selector": _LABELS, "ports": [{"name": "http2", "port": 80, "targetPort": 8080}]},
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "edge", "namespace": ROOT_NAMESPACE},
        "spec": {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    },
    {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "edge", "namespace": ROOT_NAMESPACE},
        "spec": {
            "hosts": ["*"],
            "gateways": ["edge"],
            "http": [
                {
                    "route": [
                        {"destination": {"host": "auth-api.auth.svc.cluster.local", "port": {"number": 80}}}
                    ]
                }
            ],
        },
    },
    # The proxies of these tests have no certificates.
    {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "default", "namespace": ROOT_NAMESPACE},
        "spec": {"mtls": {"mode": "DISABLE"}},
    },
]


@dataclass
class IstioCluster(Cluster):
    """A cluster with an istiod."""

    istiod: Istiod = field(kw_only=True)

    def sidecar(self, pod: Pod) -> PodProxy:
        """Start a Pod's sidecar, to which all its connections are redirected."""
        pod.network.redirect()
        return PodProxy("sidecar", pod.document, pod.network, self.istiod)

    def gateway(self, pod: Pod) -> PodProxy:
        """Start a gateway."""
        return PodProxy("router", pod.document, pod.network, self.istiod)


@contextmanager
def running_cluster(root: tuple[Document, ...]) -> Iterator[IstioCluster]:
    """An API server and an istiod without any Pod.

    Args:
        root: Documents that must be there before istiod starts: namespaces and its mesh configuration.
    """
    definitions = crds.istio()
    with ExitStack() as stack:
        server = stack.enter_context(running_api_server())
        server.apply(f"--filename={definitions}")
        wait_for(lambda: crds.established(server))
        server.apply("--filename=-", given=namespaces_of(root))
        server.apply("--filename=-", given=list(root))
        server.apply("--filename=-", given=_GATEWAY)
        pods = Pods(server)
        pod = pods.start(ROOT_NAMESPACE, "istiod", _ISTIOD_POD)
        istiod = stack.enter_context(Istiod(server, pod.network, "eco2-mesh"))
        cluster = IstioCluster(server, pods, istiod=istiod)
        stack.callback(lambda: cluster.stop(*cluster.workloads))
        yield cluster


def start_gateway(cluster: IstioCluster) -> Workload:
    """Start the gateway."""
    return cluster.start(GATEWAY, ROOT_NAMESPACE, _GATEWAY_POD, cluster.gateway)


@dataclass(frozen=True)
class KitMesh:
    """The running mesh.

    Attributes:
        cluster: Its cluster.
        jaeger: Receives all spans.
        provider: The name of the kit's components.
    """

    cluster: IstioCluster
    jaeger: Jaeger
    provider: str

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Send one request to the gateway."""
        address = self.cluster.workloads[GATEWAY].pod.network.address
        with httpx.Client(trust_env=False, timeout=20) as client:
            return client.request(method, f"http://{address}:8080{path}", headers=headers, **more)

    def log_in(self, headers: Mapping[str, str] | None = None) -> str:
        """Log in; return the trace id of auth-api."""
        answer = self.send("POST", "/api/v1/auth/login", headers, json={"user_id": "mina"})
        assert answer.status_code == 200, answer.text
        return answer.headers[TRACE_HEADER]

    def proxy(self, name: str) -> PodProxy:
        """The proxy of a workload."""
        proxy = self.cluster.workloads[name].proxy
        assert isinstance(proxy, PodProxy)
        return proxy


@contextmanager
def running_mesh(
    cluster: IstioCluster,
    jaeger: Jaeger,
    provider: str,
    environment: str = "dev",
    edit: Callable[[list[Document]], None] = lambda documents: None,
    *,
    policies: bool = False,
) -> Iterator[KitMesh]:
    """Apply the kit's overlays, and run a gateway and two services until the block ends.

    Args:
        cluster: Where.
        jaeger: Receives all spans.
        provider: The name of the components of the overlays: ``zipkin`` or ``otel``.
        environment: The name of the overlays.
        edit: Changes the objects before they are applied.
        policies: Whether the node enforces the NetworkPolicies.
    """
    mesh, auth = copy.deepcopy(documents(provider, environment))
    character = character_api(auth)
    applied = [*mesh, *auth, *character]
    edit(applied)
    cluster.apply(applied)
    with ExitStack() as stack:
        stack.callback(cluster.enforce, [])
        cluster.enforce(cluster.server.documents("networkpolicies") if policies else [])
        for start in (
            partial(start_service, cluster, character, cluster.sidecar),
            partial(start_service, cluster, auth, cluster.sidecar),
            partial(start_gateway, cluster),
        ):
            workload = start()
            stack.callback(cluster.stop, workload.name)
        yield KitMesh(cluster, jaeger, provider)
