"""The kit in a cluster of one node: a real API server, istiod, a gateway, and two services with sidecars."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from eco2_tracing._cli.processes import Child
from tests.support import crds
from tests.support.api_server import ApiServer, running_api_server
from tests.support.api_server import namespaces as namespaces_of
from tests.support.istiod import ROOT_NAMESPACE, Istiod, PodProxy
from tests.support.jaeger import PORTS
from tests.support.jaeger_client import Jaeger, at_host, is_ready, wait_for
from tests.support.kit import KIT, ROOT, program, rendered
from tests.support.kit_variants import character_api, documents
from tests.support.pods import Pod, Pods, environment

Document = dict[str, Any]
TRACE_HEADER = "x-trace-id"
GATEWAY, AUTH, CHARACTER = "istio-ingressgateway", "auth-api", "character-api"
# What the tests change of a service: spans are exported soon, and the response has the trace id.
VARIABLES = {
    "OTEL_BSP_SCHEDULE_DELAY": "50",
    "ECO2_TRACING_RESPONSE_HEADER": TRACE_HEADER,
    "PYTHONPATH": str(ROOT / "examples"),
    "PYTHONUNBUFFERED": "1",
}
_LABELS = {"app": GATEWAY, "istio": "ingressgateway"}
# The gateway is a part of Istio's installation, and not of the kit.
_GATEWAY_POD: Document = {
    "metadata": {"labels": _LABELS},
    "spec": {"containers": [{"name": "proxy", "image": "proxy", "ports": [{"containerPort": 8080}]}]},
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
class Workload:
    """A running Pod: the service and its sidecar, or the gateway alone."""

    name: str
    pod: Pod
    proxy: PodProxy | None = None
    process: Child | None = None

    def stop(self) -> None:
        """End its processes, the service first."""
        for one in (self.process, self.proxy):
            if one is not None:
                one.stop()


@dataclass
class Cluster:
    """An API server with the kit's namespaces, and the Pods on its node."""

    server: ApiServer
    pods: Pods
    istiod: Istiod
    workloads: dict[str, Workload] = field(default_factory=dict)

    def start(
        self,
        name: str,
        namespace: str,
        template: Document,
        proxy: str = "",
        command: Callable[[Pod], Child] | None = None,
    ) -> Workload:
        """Start a Pod and its processes: the proxy first, then the service."""
        made = Workload(name, self.pods.start(namespace, name, template))
        self.workloads[name] = made
        self.pods.publish()
        if proxy == "sidecar":
            made.pod.network.redirect()
        if proxy:
            made.proxy = PodProxy(proxy, made.pod.document, made.pod.network, self.istiod)
        if command:
            made.process = command(made.pod)
        return made

    def stop(self, *names: str) -> None:
        """End Pods and their processes."""
        for name in names:
            workload = self.workloads.pop(name)
            workload.stop()
            self.pods.stop(workload.pod)

    def apply(self, documents: list[Document] | tuple[Document, ...]) -> None:
        """Apply documents."""
        self.server.apply("--filename=-", given=list(documents))


@contextmanager
def running_cluster(root: tuple[Document, ...]) -> Iterator[Cluster]:
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
        istiod = stack.enter_context(Istiod(server, "eco2-mesh"))
        cluster = Cluster(server, Pods(server), istiod)
        stack.callback(lambda: cluster.stop(*cluster.workloads))
        yield cluster


def start_gateway(cluster: Cluster) -> Workload:
    """Start the gateway."""
    return cluster.start(GATEWAY, ROOT_NAMESPACE, _GATEWAY_POD, "router")


def start_service(cluster: Cluster, documents: tuple[Document, ...]) -> Workload:
    """Start the Pod of a service's Deployment with its own command and environment, and a sidecar."""
    (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
    name, namespace = deployment["metadata"]["name"], deployment["metadata"]["namespace"]
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]

    def command(pod: Pod) -> Child:
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "ECO2_TRACING_"))}
        environ = outside | environment(container, pod.document, {}) | VARIABLES
        process = Child(name, pod.network.command(container["command"]), environ)
        process.wait_for_line("running on")
        return process

    return cluster.start(name, namespace, template, "sidecar", command)


@dataclass(frozen=True)
class KitMesh:
    """The running mesh.

    Attributes:
        cluster: Its cluster.
        jaeger: Receives all spans.
        provider: The name of the kit's components.
    """

    cluster: Cluster
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
        assert proxy is not None
        return proxy


@contextmanager
def running_jaeger(cluster: Cluster) -> Iterator[Jaeger]:
    """The kit's Jaeger for development, with its own configuration, behind its Services."""
    jaeger = program("jaeger", "Jaeger 2.20")
    documents = rendered(KIT / "jaeger" / "dev")
    cluster.apply(documents)
    (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
    with tempfile.TemporaryDirectory(prefix="eco2-jaeger-") as name:
        folder = Path(name)
        text = (KIT / "jaeger" / "dev" / "config.yaml").read_text()
        # Where the Deployment mounts the UI's configuration.
        (folder / "config.yaml").write_text(text.replace("/etc/jaeger-ui", str(KIT / "jaeger" / "ui")))

        def command(pod: Pod) -> Child:
            return Child(
                "jaeger", pod.network.command([jaeger, f"--config={folder}/config.yaml"]), os.environ
            )

        template = deployment["spec"]["template"]
        workload = cluster.start("jaeger", "observability", template, command=command)
        found = at_host(workload.pod.network.address, PORTS, None)
        try:
            wait_for(lambda: is_ready(found), 60.0)
        except AssertionError:
            print(*(workload.process.lines[-20:] if workload.process else ()), sep="\n")
            raise
        yield found


@contextmanager
def running_mesh(
    cluster: Cluster,
    jaeger: Jaeger,
    provider: str,
    environment: str = "dev",
    edit: Callable[[list[Document]], None] = lambda documents: None,
) -> Iterator[KitMesh]:
    """Apply the kit's overlays, and run a gateway and two services until the block ends.

    Args:
        cluster: Where.
        jaeger: Receives all spans.
        provider: The name of the components of the overlays: ``zipkin`` or ``otel``.
        environment: The name of the overlays.
        edit: Changes the objects before they are applied.
    """
    mesh, auth = documents(provider, environment)
    character = character_api(auth)
    applied = [copy.deepcopy(one) for part in (mesh, auth, character) for one in part]
    edit(applied)
    cluster.apply(applied)
    with ExitStack() as stack:
        for start in (
            partial(start_service, cluster, character),
            partial(start_service, cluster, auth),
            partial(start_gateway, cluster),
        ):
            workload = start()
            stack.callback(cluster.stop, workload.name)
        yield KitMesh(cluster, jaeger, provider)
