"""The Pods of the kit on one node, with the programs and the configurations that their containers have."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eco2_tracing._cli.processes import Child
from tests.support.api_server import ApiServer
from tests.support.jaeger import PORTS
from tests.support.jaeger_client import Jaeger, at_host, is_ready, wait_for
from tests.support.kit import KIT, ROOT, program, rendered
from tests.support.namespaces import restrict
from tests.support.network_policies import rules
from tests.support.pods import Pod, Pods, environment

Document = dict[str, Any]
TRACE_HEADER = "x-trace-id"
AUTH, CHARACTER = "auth-api", "character-api"
# What the tests change of a service: spans are exported soon, and the response has the trace id.
VARIABLES = {
    "OTEL_BSP_SCHEDULE_DELAY": "50",
    "ECO2_TRACING_RESPONSE_HEADER": TRACE_HEADER,
    "PYTHONPATH": str(ROOT / "examples"),
    "PYTHONUNBUFFERED": "1",
}


@dataclass
class Workload:
    """A running Pod: the service and its sidecar, or the gateway alone."""

    name: str
    pod: Pod
    proxy: Child | None = None
    process: Child | None = None

    def stop(self) -> None:
        """End its processes, the service first."""
        for one in (self.process, self.proxy):
            if one is not None:
                one.stop()


@dataclass
class Cluster:
    """An API server with the kit's namespaces, and the Pods on its node.

    Attributes:
        server: The API server.
        pods: Its Pods.
        workloads: Running Pods by name.
        policies: The NetworkPolicies that the node enforces.
    """

    server: ApiServer
    pods: Pods
    workloads: dict[str, Workload] = field(default_factory=dict)
    policies: list[Document] = field(default_factory=list)

    def start(
        self,
        name: str,
        namespace: str,
        template: Document,
        proxy: Callable[[Pod], Child] | None = None,
        command: Callable[[Pod], Child] | None = None,
    ) -> Workload:
        """Start a Pod and its processes: the proxy first, then the service."""
        made = Workload(name, self.pods.start(namespace, name, template))
        self.workloads[name] = made
        self.pods.publish()
        self.enforce(self.policies)
        if proxy:
            made.proxy = proxy(made.pod)
        if command:
            made.process = command(made.pod)
        return made

    def stop(self, *names: str) -> None:
        """End Pods and their processes."""
        for name in names:
            workload = self.workloads.pop(name)
            workload.stop()
            self.pods.stop(workload.pod)

    def enforce(self, policies: Sequence[Document]) -> None:
        """Let the node forward only what NetworkPolicies allow, to later Pods too; everything if there is none."""
        self.policies = list(policies)
        pods, spaces = (self.server.documents(kind) for kind in ("pods", "namespaces"))
        restrict(*(rules(direction, policies, pods, spaces) for direction in ("Egress", "Ingress")))

    def apply(self, documents: list[Document] | tuple[Document, ...]) -> None:
        """Apply documents."""
        self.server.apply("--filename=-", given=list(documents))


def start_service(
    cluster: Cluster, documents: Sequence[Document], proxy: Callable[[Pod], Child] | None = None
) -> Workload:
    """Start the Pod of a service's Deployment with its own command and environment.

    Args:
        cluster: Where.
        documents: The Deployment is one of them.
        proxy: Starts its proxy.
    """
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

    return cluster.start(name, namespace, template, proxy, command)


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
