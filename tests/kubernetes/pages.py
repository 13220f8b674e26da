"""Checks of the READMEs: their sections, commands, Secrets and links."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.kubernetes.kit import Kit

SECTIONS = ("## Apply", "## Verify", "## Remove", "## What it costs")
APPLIED = re.compile(r"-k examples/kubernetes/(\S+)|kustomize examples/kubernetes/(\S+)")
FILES = re.compile(r"(?<![\w-])@?examples/kubernetes/([\w./-]+\.\w+)")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def _pages(kit: Kit) -> Iterator[tuple[str, Path, str]]:
    for page in sorted(kit.folder.rglob("*.md")):
        yield str(page.relative_to(kit.folder)), page, page.read_text()


def readmes(kit: Kit) -> Iterator[str]:
    """Each folder has a README that says how to apply, verify and remove it, and what it costs."""
    for folder in sorted(path for path in kit.folder.iterdir() if path.is_dir()):
        page = folder / "README.md"
        text = page.read_text() if page.exists() else ""
        for section in SECTIONS:
            if section not in text:
                yield f"{folder.name}: the README has no section {section}"


def commands(kit: Kit) -> Iterator[str]:
    """Each folder that a command applies can be rendered, each file exists, and each folder is applied somewhere."""
    applied = set()
    for name, _, text in _pages(kit):
        for folder in (first or second for first, second in APPLIED.findall(text)):
            applied.add(folder.partition("/")[0])
            if folder not in kit.overlays:
                yield f"{name}: {folder} cannot be applied"
        for file in FILES.findall(text):
            if not (kit.folder / file).is_file():
                yield f"{name}: there is no file {file}"
    for folder in sorted({overlay.partition("/")[0] for overlay in kit.overlays} - applied):
        yield f"{folder}: no README applies it"


def links(kit: Kit) -> Iterator[str]:
    """Each relative link inside the examples has a target."""
    for name, page, text in _pages(kit):
        for target in LINK.findall(text):
            if "docs/" not in target and not (page.parent / target).exists():
                yield f"{name}: no target {target}"


def secret_names(kit: Kit) -> Iterator[str]:
    """Each Secret that a pod needs is created by a command of the folder's README, with its keys."""
    for workload in kit.workloads():
        folder = workload.resource.overlay.partition("/")[0]
        text = (kit.folder / folder / "README.md").read_text().replace("\\\n", " ")
        for secret, key in _needed(workload.pod):
            created = re.search(rf"create secret generic {re.escape(secret)} (.*)", text)
            if created is None:
                yield f"{workload}: no command of {folder}/README.md creates the Secret {secret}"
            elif key and f"--from-literal={key}=" not in created[1]:
                yield f"{workload}: the command for the Secret {secret} sets no {key}"


def _needed(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for container in pod["containers"]:
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                yield reference["name"], reference["key"]
    for volume in pod.get("volumes", []):
        if "secret" in volume:
            yield volume["secret"]["secretName"], ""


CHECKS = (readmes, commands, links, secret_names)
