"""Detects attributes of process, host, container and pod, without any request over the network.

Names: https://opentelemetry.io/docs/specs/semconv/resource/
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from eco2_tracing._resource.container import container_id

# The usual names of variables from the downward API; the last ones are those of the OpenTelemetry Operator.
_KUBERNETES: Mapping[str, tuple[str, ...]] = {
    "k8s.pod.name": (
        *("K8S_POD_NAME", "POD_NAME", "MY_POD_NAME", "KUBERNETES_POD_NAME"),
        "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
    ),
    "k8s.pod.uid": (
        *("K8S_POD_UID", "POD_UID", "MY_POD_UID", "KUBERNETES_POD_UID"),
        "OTEL_RESOURCE_ATTRIBUTES_POD_UID",
    ),
    "k8s.pod.ip": ("K8S_POD_IP", "POD_IP", "MY_POD_IP", "OTEL_POD_IP"),
    "k8s.namespace.name": (
        *("K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "K8S_POD_NAMESPACE"),
        *("POD_NAMESPACE", "MY_POD_NAMESPACE", "KUBERNETES_NAMESPACE"),
    ),
    "k8s.node.name": (
        *("K8S_NODE_NAME", "NODE_NAME", "MY_NODE_NAME", "KUBERNETES_NODE_NAME"),
        "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME",
    ),
    "k8s.container.name": ("K8S_CONTAINER_NAME", "CONTAINER_NAME", "MY_CONTAINER_NAME"),
    "k8s.deployment.name": ("K8S_DEPLOYMENT_NAME",),
    "k8s.cluster.name": ("K8S_CLUSTER_NAME",),
}
# Other software uses these names too, so they are read only in Kubernetes.
_AMBIGUOUS = frozenset({"NODE_NAME", "CONTAINER_NAME"})
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


def process_ids() -> dict[str, int]:
    """Return the attributes that differ in each forked process."""
    return {"process.pid": os.getpid(), "process.parent_pid": os.getppid()}


def process_facts() -> dict[str, str | int]:
    """Return the attributes of this process, without its arguments, which may contain secrets."""
    executable = sys.executable or ""
    facts: dict[str, str | int] = {
        **process_ids(),
        "process.executable.name": Path(executable).name,
        "process.executable.path": executable,
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": ".".join(map(str, sys.version_info[:3])),
        "process.runtime.description": sys.version,
        "host.name": socket.gethostname(),
    }
    return {key: value for key, value in facts.items() if value}


def kubernetes_facts(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes that the downward API has set in the environment."""
    facts: dict[str, str] = {}
    for attribute, names in _KUBERNETES.items():
        for name in names:
            value = environ.get(name, "").strip()
            if value and (name not in _AMBIGUOUS or facts or "KUBERNETES_SERVICE_HOST" in environ):
                facts[attribute] = value
                break
    return facts


def container_facts(proc: Path, environ: Mapping[str, str] = _NO_VARIABLES) -> dict[str, str]:
    """Return the container's id where it is known; see `container_id`."""
    found = container_id(proc, environ)
    return {"container.id": found} if found else {}
