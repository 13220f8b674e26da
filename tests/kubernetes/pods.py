"""Checks of what runs: images, probes, rights, resources, selectors, volumes, secrets."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kubernetes.kit import IMAGES, Document, Kit, Resource, Workload, matches, parsed

# Reads the log files of the node, as its README says.
ROOT_ALLOWED = {"fluent-bit"}
# Pods of other installations that policies and Telemetry resources select.
ELSEWHERE = ({"istio": "ingressgateway"},)
SECRET = re.compile(r"(?:PASSWORD|TOKEN|SECRET|API_KEY)", re.IGNORECASE)
SECRET_LINE = re.compile(
    r"(?im)(?:^|[\s{,])[\w.\-\"]*(?:password|passwd|token|secret|api_?key)\"?\s*[:=]\s*"
    r"[\"']?(?!\s*$|[\"']?\$)(?P<value>[^\s,}]+)"
)


def images(kit: Kit) -> Iterator[str]:
    """Each image has the tag of the list, each entry of the list is used, and the list has its date."""
    listed = parsed((kit.folder.parent / IMAGES).read_text())
    if not isinstance(listed.get("date"), dt.date):
        yield f"{IMAGES}: no date"
    used: dict[str, str] = {}
    for name, reference in _images(kit):
        image, _, tag = reference.partition(":")
        used[image] = tag
        if not tag or tag == "latest":
            yield f"{name}: {reference} has no fixed tag"
        elif listed["images"].get(image) != tag:
            yield f"{name}: {reference} is not in {IMAGES}"
    text = "".join(path.read_text() for path in sorted(kit.folder.parent.rglob("*")) if _names_images(path))
    for image in listed["images"].keys() - used.keys():
        if f"{image}:" not in text:
            yield f"{IMAGES}: {image} is not used"


def _names_images(path: Path) -> bool:
    return path.is_file() and path.name != IMAGES and (path.suffix == ".yaml" or path.name == "Dockerfile")


def _images(kit: Kit) -> Iterator[tuple[str, str]]:
    for workload in kit.workloads():
        for container in workload.containers:
            yield str(workload), container["image"]
    for collector in kit.resources("OpenTelemetryCollector"):
        yield str(collector), collector.spec["image"]


def rights(kit: Kit) -> Iterator[str]:
    """Pods and containers have no right that they do not need."""
    for workload in kit.workloads():
        pod = workload.pod.get("securityContext", {})
        root = workload.resource.name in ROOT_ALLOWED
        if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{workload}: no seccompProfile RuntimeDefault"
        if not (root or (pod.get("runAsNonRoot") and pod.get("runAsUser"))):
            yield f"{workload}: may run as root"
        if "serviceAccountName" not in workload.pod:
            yield f"{workload}: runs with the namespace's default account"
        for container in workload.containers:
            context = container.get("securityContext", {})
            closed = (
                context.get("allowPrivilegeEscalation") is False
                and context.get("readOnlyRootFilesystem") is True
                and context.get("capabilities", {}).get("drop") == ["ALL"]
            )
            if not closed:
                yield f"{workload}: container {container['name']} has rights that it does not need"


def resources_and_probes(kit: Kit) -> Iterator[str]:
    """Containers have requests and limits; servers have probes of their own ports, and two replicas a budget."""
    budgets = list(kit.resources("PodDisruptionBudget"))
    for workload in kit.workloads():
        for container in workload.containers:
            given = container.get("resources", {})
            if any({"cpu", "memory"} - given.get(kind, {}).keys() for kind in ("requests", "limits")):
                yield f"{workload}: container {container['name']} has no requests or limits"
            if workload.resource.kind != "CronJob":
                yield from _probes(workload, container)
        if workload.resource.spec.get("replicas", 1) > 1 and not any(
            budget.overlay == workload.resource.overlay and matches(budget.spec["selector"], workload.labels)
            for budget in budgets
        ):
            yield f"{workload}: several replicas and no PodDisruptionBudget"


def _probes(workload: Workload, container: Document) -> Iterator[str]:
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("readinessProbe", "livenessProbe"):
        if probe not in container:
            yield f"{workload}: container {container['name']} has no {probe}"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        action = container.get(probe, {})
        port = (action.get("httpGet") or action.get("tcpSocket") or {}).get("port")
        if port is not None and port not in ports:
            yield f"{workload}: {probe} asks port {port}, which the container does not have"


def selectors(kit: Kit) -> Iterator[str]:
    """Each selector selects pods of its overlay, and each port of a Service is a port of them."""
    for overlay in kit.overlays:
        pods = [workload for workload in kit.workloads() if workload.resource.overlay == overlay]
        for workload in pods:
            selector = workload.resource.spec.get("selector", {})
            if not matches(selector, workload.labels):
                yield f"{workload}: its selector does not match the labels of its pods"
            for spread in workload.pod.get("topologySpreadConstraints", []):
                if not matches(spread["labelSelector"], workload.labels):
                    yield f"{workload}: its topologySpreadConstraints select other pods"
        for resource in kit.render(overlay):
            yield from _selected(resource, pods)


def _selected(resource: Resource, pods: list[Workload]) -> Iterator[str]:
    if resource.kind == "Service":
        selector = {"matchLabels": resource.spec["selector"]}
    elif resource.kind in {"PodDisruptionBudget", "Telemetry"}:
        selector = resource.spec.get("selector", {})
    elif resource.kind == "NetworkPolicy":
        selector = resource.spec["podSelector"]
    else:
        return
    labels = selector.get("matchLabels")
    found = [
        pod for pod in pods if pod.resource.namespace == resource.namespace and matches(selector, pod.labels)
    ]
    if labels and not found and labels not in ELSEWHERE and pods:
        yield f"{resource}: selects no pod"
    if resource.kind == "Service":
        for pod in found:
            names = {port["name"] for container in pod.containers for port in container.get("ports", [])}
            for port in resource.spec["ports"]:
                if port["targetPort"] not in names:
                    yield f"{resource}: port {port['port']} goes to {port['targetPort']}, which {pod} does not have"


def volumes(kit: Kit) -> Iterator[str]:
    """Each ConfigMap of a volume is in the overlay, and has the files that the arguments name."""
    for workload in kit.workloads():
        overlay = workload.resource.overlay
        maps = {
            found.name: found.data.get("data", {})
            for found in kit.render(overlay)
            if found.kind == "ConfigMap"
        }
        files = set()
        for container in workload.containers:
            for mount in container.get("volumeMounts", []):
                volume = next(
                    (v for v in workload.pod.get("volumes", []) if v["name"] == mount["name"]), None
                )
                if volume is not None and "configMap" in volume:
                    name = volume["configMap"]["name"]
                    if name not in maps:
                        yield f"{workload}: there is no ConfigMap {name}"
                    files |= {f"{mount['mountPath']}/{file}" for file in maps.get(name, {})}
            for argument in container.get("args", []):
                path = argument.partition("=")[2]
                if path.startswith("/") and path not in files:
                    yield f"{workload}: {argument} is in no ConfigMap"


def secrets(kit: Kit) -> Iterator[str]:
    """No file holds a credential: they come from Secrets that the READMEs create."""
    for resource in kit.resources():
        if resource.kind == "Secret":
            yield f"{resource}: a Secret in a file"
        for text in _texts(resource.data.get("data", {}) if resource.kind == "ConfigMap" else {}):
            for found in SECRET_LINE.finditer(text):
                yield f"{resource}: {found[0].strip()}"
    for workload in kit.workloads():
        for name in workload.environ:
            if SECRET.search(name):
                yield f"{workload}: {name} has a literal value"


def _texts(value: Any) -> Iterator[str]:
    for item in value.values():
        yield str(item)


CHECKS = (images, rights, resources_and_probes, selectors, volumes, secrets)
