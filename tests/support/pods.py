"""Pods in networks of their own, which the tests start in place of a kubelet and of the controllers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.api_server import ApiServer
from tests.support.namespaces import Address, PodNetwork, resolve, translate

Document = dict[str, Any]
NODE_NAME = "node-1"
_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")


@dataclass(frozen=True)
class Pod:
    """A Pod of the API server, with its network.

    Attributes:
        document: The Pod as Kubernetes has it.
        network: Its addresses.
    """

    document: Document
    network: PodNetwork

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.document["metadata"]["namespace"])

    @property
    def containers(self) -> dict[str, Document]:
        """Its containers by their names."""
        return {one["name"]: one for one in self.document["spec"]["containers"]}

    def port(self, wanted: int | str) -> int | None:
        """The number of a target port; `None` if no container has the name."""
        if isinstance(wanted, int):
            return wanted
        ports = (port for one in self.containers.values() for port in one.get("ports", ()))
        return next((int(port["containerPort"]) for port in ports if port.get("name") == wanted), None)


class Pods:
    """The Pods of a cluster, their EndpointSlices, and the names of the Services.

    Args:
        server: Gets all objects.
    """

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._pods: list[Pod] = []
        self._resolved: set[str] = set()

    def start(self, namespace: str, name: str, template: Mapping[str, Any]) -> Pod:
        """Make a running and ready Pod of a Deployment's template."""
        network = PodNetwork.create()
        metadata = {**template.get("metadata", {}), "name": name, "namespace": namespace}
        spec = {**template["spec"], "nodeName": NODE_NAME}
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        self._server.apply("--filename=-", given=document)
        status = {
            "phase": "Running",
            "podIP": network.address,
            "podIPs": [{"ip": network.address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        made = self._server.send("PATCH", path, {"status": status}, "application/merge-patch+json")
        pod = Pod(made, network)
        self._pods.append(pod)
        return pod

    def stop(self, pod: Pod) -> None:
        """Delete a Pod and its network."""
        self._pods.remove(pod)
        self._server.send(
            "DELETE", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", {"gracePeriodSeconds": 0}
        )
        pod.network.remove()

    def publish(self) -> None:
        """Write the EndpointSlices of all Services; make their names and their addresses known to all Pods."""
        services = [one for one in self._server.documents("services") if one["spec"].get("selector")]
        slices = [_slice(service, self._pods) for service in services]
        if slices:
            self._server.apply("--filename=-", given=slices)
        names = dict(_names(services))
        resolve({name: address for name, address in names.items() if name not in self._resolved})
        self._resolved |= names.keys()
        translate(dict(_addresses(services, slices)))


def _addresses(services: list[Document], slices: list[Document]) -> Iterator[tuple[Address, Address]]:
    """Of each port of a Service with an endpoint: its address, and the one of the first endpoint."""
    for service, made in zip(services, slices, strict=True):
        numbers = {port["name"]: port["port"] for port in made["ports"]}
        for port in service["spec"]["ports"]:
            if (
                made["endpoints"]
                and service["spec"]["clusterIP"] != "None"
                and port.get("name", "") in numbers
            ):
                pod = made["endpoints"][0]["addresses"][0]
                yield (service["spec"]["clusterIP"], port["port"]), (pod, numbers[port.get("name", "")])


def _names(services: list[Document]) -> Iterator[tuple[str, str]]:
    for service in services:
        address, metadata = service["spec"].get("clusterIP"), service["metadata"]
        if address not in {None, "None"}:
            short = f"{metadata['name']}.{metadata['namespace']}"
            for name in (short, f"{short}.svc", f"{short}.svc.cluster.local"):
                yield name, address


def _slice(service: Document, pods: list[Pod]) -> Document:
    """The EndpointSlice of a Service, as the controller writes it."""
    metadata, selector = service["metadata"], service["spec"]["selector"].items()
    chosen = [
        pod
        for pod in pods
        if pod.namespace == metadata["namespace"]
        and selector <= pod.document["metadata"].get("labels", {}).items()
    ]
    ports = []
    for port in service["spec"]["ports"]:
        targets = {pod.port(port.get("targetPort", port["port"])) for pod in chosen} - {None}
        made = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP")}
        made |= {"appProtocol": port["appProtocol"]} if "appProtocol" in port else {}
        ports += [made | {"port": number} for number in targets]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-1",
            "namespace": metadata["namespace"],
            "labels": {"kubernetes.io/service-name": metadata["name"]},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [pod.network.address],
                "conditions": {"ready": True},
                "nodeName": NODE_NAME,
                "targetRef": {"kind": "Pod", "name": pod.name, "namespace": pod.namespace},
            }
            for pod in chosen
        ],
        "ports": ports,
    }


def environment(container: Document, pod: Document, maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The environment of a container, as the kubelet makes it.

    Args:
        container: Of the Pod.
        pod: For the references to its fields.
        maps: The data of the namespace's ConfigMaps, by their names.
    """
    made: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        made |= maps[source["configMapRef"]["name"]]
    for one in container.get("env", ()):
        made[one["name"]] = _REFERENCE.sub(lambda found: made.get(found[1], found[0]), _value(one, pod, maps))
    return made


def _value(variable: Document, pod: Document, maps: Mapping[str, Mapping[str, str]]) -> str:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable.get("value", ""))
    if "configMapKeyRef" in source:
        return maps[source["configMapKeyRef"]["name"]][source["configMapKeyRef"]["key"]]
    return field(pod, source["fieldRef"]["fieldPath"])


def field(pod: Document, path: str) -> str:
    """A field of a Pod by the path that the downward API takes."""
    found = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if found:
        return str(pod["metadata"].get(found[1], {}).get(found[2], ""))
    value: Any = pod
    for key in path.split("."):
        value = value.get(key, "") if isinstance(value, dict) else ""
    return value if isinstance(value, str) else json.dumps(value)
