"""Builds the resource: attributes of process, host, container and pod, detected without any request over the network.

Precedence, highest first: settings (which hold the environment), arguments, detected attributes. `Resource.create` is
not used: with it arguments override the environment, which it reads again.

Names: https://opentelemetry.io/docs/specs/semconv/resource/
"""

from __future__ import annotations

import os
import re
import socket
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as _sdk_version

from eco2_tracing._guard import attempt

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._redaction import Redactor


_ID = "[0-9a-f]{64}"
# One part of a cgroup's path: "<id>", "docker-<id>.scope", "…slice:cri-containerd:<id>", "libpod-payload-<id>". On
# Fargate it is the task's id and a number. Parts may follow: crun adds "container", systemd adds "init.scope".
_CGROUP_PART = re.compile(rf"(?:^|[:-])({_ID})(?:\.scope)?$|^([0-9a-f]{{32}}-[0-9]{{6,20}})$")
# Podman and CRI-O mount this file out of the container's own directory, in pods too.
_OWN_FILE = re.compile(rf"/[a-z0-9]+-containers/({_ID})/userdata/(?:run/)?\.containerenv$")
# Docker, Podman and nerdctl write the container's host name to a file. Kubernetes and other orchestrators put
# containers into the network of a sandbox, whose file is mounted instead.
_HOSTNAME_FILE = re.compile(rf"/(?:[a-z0-9]+-)?containers/(?:[^/]+/)?({_ID})/(?:userdata/)?hostname$")
_ORCHESTRATORS = (
    *("KUBERNETES_SERVICE_HOST", "NOMAD_ALLOC_ID"),
    *("ECS_CONTAINER_METADATA_URI", "ECS_CONTAINER_METADATA_URI_V4"),
)
# The kubelet mounts these into each container of a pod.
_KUBELET_ROOT = re.compile(r"/pods/[^/]+/(?:etc-hosts$|containers/|volumes/)")
_KUBELET_POINTS = ("/dev/termination-log", "/run/secrets/kubernetes.io/", "/var/run/secrets/kubernetes.io/")


class _Mount(NamedTuple):
    """The fields of a line of `mountinfo` that are used; see proc(5)."""

    root: str
    point: str
    kind: str


def container_id(proc: Path, environ: Mapping[str, str]) -> str | None:
    """Return the id of this process's container; ``None`` where it may be the id of another one.

    The environment shows whether an orchestrator started the container.
    """
    mounts = list(_mounts(proc / "self" / "mountinfo"))
    # First, because Podman inside another container may stay in the cgroup of that one.
    if found := _of_file(mounts, "/run/.containerenv", _OWN_FILE):
        return found
    paths = [line.partition(":")[2].partition(":")[2] for line in _lines(proc / "self" / "cgroup")]
    paths += [
        mount.root
        for mount in mounts
        if mount.kind in ("cgroup", "cgroup2") and mount.point.startswith("/sys/fs/cgroup")
    ]
    for path in paths:
        if found := _in_cgroup(path):
            return found
    return None if _is_orchestrated(mounts, environ) else _of_file(mounts, "/etc/hostname", _HOSTNAME_FILE)


def _in_cgroup(path: str) -> str | None:
    """Return the innermost id of a path: containers may run inside containers."""
    for part in reversed(path.split("/")):
        if found := _CGROUP_PART.search(part):
            return found[1] or found[2]
    return None


def _of_file(mounts: list[_Mount], point: str, root: re.Pattern[str]) -> str | None:
    for mount in mounts:
        if mount.point == point and (found := root.search(mount.root)):
            return found[1]
    return None


def _is_orchestrated(mounts: list[_Mount], environ: Mapping[str, str]) -> bool:
    """Return whether the container may share the network, and so the file of the host name, of another one."""
    return any(environ.get(name) for name in _ORCHESTRATORS) or any(
        mount.point.startswith(_KUBELET_POINTS) or _KUBELET_ROOT.search(mount.root) for mount in mounts
    )


def _mounts(path: Path) -> Iterator[_Mount]:
    for line in _lines(path):
        own, _, of_filesystem = line.partition(" - ")
        fields = own.split(" ")
        if len(fields) > 4:
            yield _Mount(fields[3], fields[4], of_filesystem.partition(" ")[0])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


# The usual names of variables from the downward API; the last ones are those of the OpenTelemetry Operator.
_KUBERNETES = {
    "k8s.pod.name": "K8S_POD_NAME POD_NAME MY_POD_NAME KUBERNETES_POD_NAME OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
    "k8s.pod.uid": "K8S_POD_UID POD_UID MY_POD_UID KUBERNETES_POD_UID OTEL_RESOURCE_ATTRIBUTES_POD_UID",
    "k8s.pod.ip": "K8S_POD_IP POD_IP MY_POD_IP OTEL_POD_IP",
    "k8s.namespace.name": "K8S_NAMESPACE_NAME K8S_NAMESPACE K8S_POD_NAMESPACE "
    "POD_NAMESPACE MY_POD_NAMESPACE KUBERNETES_NAMESPACE",
    "k8s.node.name": "K8S_NODE_NAME NODE_NAME MY_NODE_NAME KUBERNETES_NODE_NAME OTEL_RESOURCE_ATTRIBUTES_NODE_NAME",
    "k8s.container.name": "K8S_CONTAINER_NAME CONTAINER_NAME MY_CONTAINER_NAME",
    "k8s.deployment.name": "K8S_DEPLOYMENT_NAME",
    "k8s.cluster.name": "K8S_CLUSTER_NAME",
}
# Other software uses these names too, so they are read only in Kubernetes.
_AMBIGUOUS = frozenset({"NODE_NAME", "CONTAINER_NAME"})
_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
_INSTANCE = "service.instance.id"
_ENVIRONMENTS = ("deployment.environment.name", "deployment.environment")
_PROC = Path("/proc")


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
        for name in names.split():
            value = environ.get(name, "").strip()
            if value and (name not in _AMBIGUOUS or facts or "KUBERNETES_SERVICE_HOST" in environ):
                facts[attribute] = value
                break
    return facts


def container_facts(proc: Path, environ: Mapping[str, str] = _NO_VARIABLES) -> dict[str, str]:
    """Return the container's id where it is known; see `container_id`."""
    found = container_id(proc, environ)
    return {"container.id": found} if found else {}


class ServiceSettings(Protocol):
    """The settings that a resource is built from."""

    service_name: str | None
    service_version: str | None
    environment: str | None
    resource_attributes: Mapping[str, str]


class _InstanceResource(Resource):
    """A resource with a random instance id, which a fork replaces."""


def build_resource(
    settings: ServiceSettings,
    extra: Mapping[str, AttributeValue] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    proc: Path = _PROC,
    redactor: Redactor | None = None,
) -> Resource:
    """Return the resource of this process.

    It has a ``service.name`` (``unknown_service:<executable>`` where none is set) and a ``service.instance.id``
    (random where none is set).

    Args:
        settings: The service and ``OTEL_RESOURCE_ATTRIBUTES``, which override everything else.
        extra: Attributes from arguments; they override detected ones.
        environ: The environment with the variables of the downward API.
        proc: Mount point of procfs.
        redactor: Masks secrets, because the attributes are exported with each span.
    """
    attributes: dict[str, AttributeValue] = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": _sdk_version,
        **process_facts(),
        **container_facts(proc, environ),
        **kubernetes_facts(environ),
        **_usable(extra or {}),
        **settings.resource_attributes,
    }
    _name_service(attributes, settings)
    if redactor is not None:
        attributes = cast("dict[str, AttributeValue] | None", redactor.attributes(attributes)) or attributes
    if attributes.get(_INSTANCE):
        return Resource(attributes)
    attributes[_INSTANCE] = str(uuid.uuid4())
    return _InstanceResource(attributes)


def _usable(extra: Mapping[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Return the attributes that can be read, so that a bad one does not prevent the others."""

    def can_be_read(key: str, value: AttributeValue) -> bool:
        what = f"reading the resource attribute {key}, which is left out"
        return attempt(what, Resource, {key: value}, default=None) is not None

    return {key: value for key, value in extra.items() if can_be_read(key, value)}


def after_fork_resource(resource: Resource) -> Resource:
    """Return the resource of a child process: with its own process ids, and its own instance id unless one was set."""
    own: dict[str, AttributeValue] = {**process_ids()}
    if isinstance(resource, _InstanceResource):
        own[_INSTANCE] = str(uuid.uuid4())
    return type(resource)({**resource.attributes, **own}, resource.schema_url)


def _name_service(attributes: dict[str, AttributeValue], settings: ServiceSettings) -> None:
    """Set name, version and environment, the last under both of its names."""
    executable = attributes.get("process.executable.name")
    unknown = f"unknown_service:{executable}" if executable else "unknown_service"
    attributes["service.name"] = settings.service_name or attributes.get("service.name") or unknown
    if settings.service_version:
        attributes["service.version"] = settings.service_version
    newer, older = _ENVIRONMENTS
    environment = settings.environment or attributes.get(newer) or attributes.get(older)
    if environment:
        attributes[newer] = attributes[older] = environment
