"""Custom resource definitions: Istio's, and those of other operators where the environment names them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer

MODULE = "istio.io/api@v1.32.0"
VARIABLE = "ECO2_TEST_CRDS"
MORE = (
    f"{VARIABLE} names folders with the definitions of opentelemetry-operator 0.158.0 and kiali-operator 2.31"
)


@cache
def istio() -> Path:
    """The file of Istio's definitions, from its Go module; skips if the module cannot be had."""
    if shutil.which("go") is None:
        pytest.skip(f"no command go on PATH, which has or downloads {MODULE}")
    command = ["go", "mod", "download", "-json", MODULE]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    found = json.loads(done.stdout or "{}")
    if "Dir" not in found:
        pytest.skip(f"run: go mod download {MODULE}")
    return Path(found["Dir"]) / "kubernetes" / "customresourcedefinitions.gen.yaml"


def others() -> list[Path]:
    """More files of definitions, from the folders that the environment names."""
    folders = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    return [path for folder in folders for path in sorted(Path(folder).glob("*.yaml"))]


def established(server: ApiServer) -> bool:
    """Whether an API server serves all custom resources that it knows."""
    states = [
        one.get("status", {}).get("conditions", ()) for one in server.documents("customresourcedefinitions")
    ]
    return all(
        any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
        for conditions in states
    )
