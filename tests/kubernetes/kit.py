"""The files of `examples/kubernetes`, as kubectl renders them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.repository.sources import ROOT

FOLDER = ROOT / "examples" / "kubernetes"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
IMAGES = "images.yaml"  # beside the folder

Document = Mapping[str, Any]


@cache
def parsed(text: str) -> Any:
    """The only document of a YAML or JSON text, which copies of the kit share: do not change it."""
    return yaml.load(text, LOADER)


@dataclass(frozen=True)
class Resource:
    """A resource of an overlay.

    Attributes:
        overlay: The folder that was rendered, relative to the kit.
        data: The resource.
    """

    overlay: str
    data: Document

    @property
    def kind(self) -> str:
        """Its kind."""
        return self.data["kind"]

    @property
    def name(self) -> str:
        """Its name."""
        return self.data["metadata"]["name"]

    @property
    def namespace(self) -> str:
        """Its namespace; empty without one."""
        return self.data["metadata"].get("namespace", "")

    @property
    def spec(self) -> Document:
        """Its `spec`."""
        return self.data.get("spec", {})

    def __str__(self) -> str:
        return f"{self.overlay}: {self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Workload:
    """A resource with pods.

    Attributes:
        resource: The Deployment, DaemonSet, StatefulSet or CronJob.
        template: The template of its pods.
    """

    resource: Resource
    template: Document

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its pods."""
        return self.template["metadata"].get("labels", {})

    @property
    def pod(self) -> Document:
        """The specification of its pods."""
        return self.template["spec"]

    @property
    def containers(self) -> list[Document]:
        """Containers and init containers."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def environ(self) -> dict[str, str]:
        """The variables with a literal value, of all containers."""
        return {
            variable["name"]: variable["value"]
            for container in self.containers
            for variable in container.get("env", [])
            if "value" in variable
        }

    def __str__(self) -> str:
        return str(self.resource)


@dataclass
class Kit:
    """The kit, or a copy of it.

    Args:
        folder: Where its files are.
        kubectl: The command that renders them.
        rendered: Overlays that are rendered already.
    """

    folder: Path
    kubectl: str
    rendered: dict[str, list[Resource]] = field(default_factory=dict)

    @cached_property
    def overlays(self) -> list[str]:
        """The folders that can be rendered, relative to the kit."""
        return sorted(
            str(path.parent.relative_to(self.folder))
            for path in self.folder.rglob("kustomization.yaml")
            if parsed(path.read_text())["kind"] == "Kustomization"
        )

    def render(self, overlay: str) -> list[Resource]:
        """The resources of an overlay.

        Raises:
            ValueError: kubectl refuses it.
        """
        if overlay not in self.rendered:
            self.rendered[overlay] = [Resource(overlay, data) for data in self._kustomize(overlay)]
        return self.rendered[overlay]

    def _kustomize(self, overlay: str) -> list[Document]:
        command = [self.kubectl, "kustomize", str(self.folder / overlay)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ValueError(f"{overlay}: {done.stderr.strip()}")
        return [document for document in yaml.load_all(done.stdout, LOADER) if document]

    def users(self, folder: str) -> list[str]:
        """The overlays that a folder belongs to, itself among them."""
        return [overlay for overlay in self.overlays if folder in self._parts(overlay)]

    def _parts(self, folder: str) -> set[str]:
        file = self.read(f"{folder}/kustomization.yaml")
        found = {folder}
        for entry in [*file.get("resources", []), *file.get("components", [])]:
            if not entry.endswith(".yaml"):
                part = (self.folder / folder / entry).resolve().relative_to(self.folder.resolve())
                found |= self._parts(str(part))
        return found

    def resources(self, *kinds: str, under: str = "") -> Iterator[Resource]:
        """The resources of all overlays, by kind and by the beginning of the overlay's path."""
        for overlay in self.overlays:
            if overlay.startswith(under):
                for resource in self.render(overlay):
                    if not kinds or resource.kind in kinds:
                        yield resource

    def workloads(self, under: str = "") -> Iterator[Workload]:
        """Everything with pods."""
        for resource in self.resources("Deployment", "DaemonSet", "StatefulSet", "CronJob", under=under):
            spec = resource.spec["jobTemplate"]["spec"] if resource.kind == "CronJob" else resource.spec
            yield Workload(resource, spec["template"])

    def read(self, path: str) -> Any:
        """A YAML or JSON file of the kit."""
        return parsed((self.folder / path).read_text())

    @cached_property
    def mesh_config(self) -> Document:
        """The meshConfig."""
        return self.read("mesh/base/mesh-config.yaml")

    @cached_property
    def services(self) -> dict[str, list[Resource]]:
        """The Services by their full name; several overlays may have one of the same name."""
        found: dict[str, list[Resource]] = {}
        for service in self.resources("Service"):
            found.setdefault(f"{service.name}.{service.namespace}.svc.cluster.local", []).append(service)
        return found

    def providers(self) -> dict[str, Document]:
        """The providers of the meshConfig by name."""
        return {provider["name"]: provider for provider in self.mesh_config["extensionProviders"]}


def matches(selector: Document, labels: Mapping[str, str]) -> bool:
    """Whether a selector of `matchLabels` selects these labels; an empty one selects all."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
