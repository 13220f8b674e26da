"""Checks of the NetworkPolicies: they allow what the workloads use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.kubernetes.kit import Document, Kit, Resource, Workload, matches
from tests.kubernetes.mesh import host_namespace, tracing

# Pods of other installations: what a name of their Service selects, and the port of the pods.
ELSEWHERE = {
    "character-api.character.svc.cluster.local": ({"app": "character-api"}, {80: 8000}),
    "elasticsearch-es-http.elastic-system.svc.cluster.local": ({}, {9200: 9200}),
}
ADDRESS = re.compile(r"(?:https?://)?([\w.-]+\.svc(?:\.cluster\.local)?):(\d+)")
SHORT = re.compile(r"service: ([\w-]+\.[\w-]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Pods:
    """Some pods.

    Attributes:
        namespace: Their namespace.
        labels: Their labels.
    """

    namespace: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Flow:
    """Connections that a workload opens.

    Attributes:
        client: The workload.
        server: The pods that it connects to.
        port: The port of those pods.
        protocol: `TCP` or `UDP`.
        why: What asks for it.
    """

    client: Workload
    server: Pods
    port: int
    protocol: str
    why: str


DNS = Pods("kube-system", {"k8s-app": "kube-dns"})
ISTIOD = Pods("istio-system", {"app": "istiod"})


def flows(kit: Kit, workload: Workload) -> Iterator[Flow]:
    """What a workload connects to: by its variables, its configuration, and its sidecar's."""
    for protocol in ("UDP", "TCP"):
        yield Flow(workload, DNS, 53, protocol, "names")
    for host, port, why in _addresses(kit, workload):
        for server, target in _servers(kit, host, port):
            yield Flow(workload, server, target, "TCP", f"{why} {host}:{port}")
    if workload.resource.overlay.startswith("service/"):
        yield Flow(workload, ISTIOD, 15012, "TCP", "the sidecar's configuration")


def _addresses(kit: Kit, workload: Workload) -> Iterator[tuple[str, int, str]]:
    for name, value in workload.environ.items():
        url = urlsplit(value.partition("endpoint=")[2].partition(",")[0] or value)
        if url.scheme in {"http", "https"} and url.hostname:
            yield url.hostname, url.port or (443 if url.scheme == "https" else 80), name
    used = {v["configMap"]["name"] for v in workload.pod.get("volumes", []) if "configMap" in v}
    arguments = " ".join(a for c in workload.containers for a in c.get("args", []))
    texts = [arguments]
    for resource in kit.render(workload.resource.overlay):
        if resource.kind == "ConfigMap" and resource.name in used:
            texts += [text for file, text in resource.data["data"].items() if file.endswith(".yaml")]
        if (
            resource.kind == "Telemetry"
            and resource.spec.get("selector")
            and workload.resource.overlay.startswith("service/")
        ):
            for entry in resource.spec["tracing"]:
                for provider in entry["providers"]:
                    if target := tracing(kit.providers().get(provider["name"], {})):
                        yield target["service"], target["port"], f"provider {provider['name']}"
    for text in texts:
        for host, port in ADDRESS.findall(text):
            yield host, int(port), "its configuration"
        for name in SHORT.findall(text):
            yield f"{name}.svc.cluster.local", 4317, "its configuration"


def _servers(kit: Kit, host: str, port: int) -> Iterator[tuple[Pods, int]]:
    if host in ELSEWHERE:
        labels, targets = ELSEWHERE[host]
        yield Pods(host_namespace(host), labels), targets[port]
    for service in kit.services.get(host, []):
        for workload in kit.workloads():
            if workload.resource.overlay == service.overlay and matches(
                {"matchLabels": service.spec["selector"]}, workload.labels
            ):
                target = next((p["targetPort"] for p in service.spec["ports"] if p["port"] == port), None)
                numbers = {
                    p["name"]: p["containerPort"] for c in workload.containers for p in c.get("ports", [])
                }
                if target in numbers:
                    yield Pods(service.namespace, workload.labels), numbers[target]


def egress(kit: Kit) -> Iterator[str]:
    """A workload with egress rules may open every connection that it needs, DNS among them."""
    for workload in kit.workloads():
        rules = _rules(
            kit.render(workload.resource.overlay), workload.resource.namespace, workload.labels, "Egress"
        )
        if rules is None:
            continue
        for flow in flows(kit, workload):
            if not any(_allows(rule, "to", flow.server, flow, workload.resource.namespace) for rule in rules):
                yield f"{workload}: no egress to {flow.protocol} {flow.port} of {flow.server.namespace}: {flow.why}"


def ingress(kit: Kit) -> Iterator[str]:
    """A workload with ingress rules accepts every connection that the others open."""
    for workload in kit.workloads():
        client = Pods(workload.resource.namespace, workload.labels)
        for flow in flows(kit, workload):
            for overlay in kit.overlays:
                rules = _rules(kit.render(overlay), flow.server.namespace, flow.server.labels, "Ingress")
                if rules is not None and not any(
                    _allows(rule, "from", client, flow, flow.server.namespace) for rule in rules
                ):
                    yield f"{overlay}: no ingress from {workload} to {flow.protocol} {flow.port}: {flow.why}"


def _rules(
    resources: list[Resource], namespace: str, labels: Mapping[str, str], way: str
) -> list[Document] | None:
    policies = [
        resource
        for resource in resources
        if resource.kind == "NetworkPolicy"
        and resource.namespace == namespace
        and way in resource.spec["policyTypes"]
        and matches(resource.spec["podSelector"], labels)
    ]
    if not policies:
        return None
    return [rule for policy in policies for rule in policy.spec.get(way.lower(), [])]


def _allows(rule: Document, side: str, peer: Pods, flow: Flow, home: str) -> bool:
    ports = rule.get("ports", [])
    if ports and not any(p["port"] == flow.port and p.get("protocol", "TCP") == flow.protocol for p in ports):
        return False
    return side not in rule or any(_is_peer(each, peer, home) for each in rule[side])


def _is_peer(entry: Document, peer: Pods, home: str) -> bool:
    if "ipBlock" in entry:
        return False
    if "namespaceSelector" in entry:
        name = {"kubernetes.io/metadata.name": peer.namespace}
        if not matches(entry["namespaceSelector"], name):
            return False
    elif peer.namespace != home:
        return False
    return matches(entry.get("podSelector", {}), peer.labels)


CHECKS = (egress, ingress)
