"""The deployment kit: its overlays as kustomize renders them, and the configuration files of its programs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KIT = ROOT / "examples" / "kubernetes"
Document = dict[str, Any]


def program(name: str, what: str) -> str:
    """The path of a program; skips if it is absent.

    Args:
        name: The command.
        what: The program and its version, for the reason.
    """
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no command {name} on PATH: {what}")
    return found


def run(*command: str, given: str | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a validator to its end."""
    return subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, timeout=120, **options
    )


def name(path: Path) -> str:
    """A path inside the kit, as the id of a test."""
    return str(path.relative_to(KIT))


@cache
def overlays() -> tuple[Path, ...]:
    """Every folder that `kubectl apply -k` takes."""
    files = sorted(KIT.rglob("kustomization.yaml"))
    return tuple(one.parent for one in files if yaml.safe_load(one.read_text()).get("kind") != "Component")


@cache
def rendered(folder: Path) -> tuple[Document, ...]:
    """The objects of an overlay."""
    done = run(program("kubectl", "kubectl 1.32 or newer"), "kustomize", str(folder))
    assert done.returncode == 0, done.stderr
    return tuple(filter(None, yaml.load_all(done.stdout, yaml.CSafeLoader)))


def _documents() -> Iterator[tuple[Path, Document]]:
    for path in sorted(KIT.rglob("*.yaml")):
        text = path.read_text()
        if "pipelines:" in text:
            yield from ((path, document) for document in yaml.load_all(text, yaml.CSafeLoader))


def _is_collector(document: Document) -> bool:
    return "pipelines" in (document.get("service") or {})


@cache
def jaeger_files() -> tuple[Path, ...]:
    """Jaeger's configurations: those with its storage extension."""
    return tuple(
        path
        for path, document in _documents()
        if _is_collector(document) and "jaeger_storage" in document.get("extensions", {})
    )


@cache
def collectors() -> dict[str, Document]:
    """The collectors' configurations by their names: plain files, and those in the Operator's resources."""
    made = {}
    for path, document in _documents():
        if document.get("kind") == "OpenTelemetryCollector":
            made[f"{name(path)}:{document['metadata']['name']}"] = document["spec"]["config"]
        elif _is_collector(document) and path not in jaeger_files():
            made[name(path)] = document
    return made
