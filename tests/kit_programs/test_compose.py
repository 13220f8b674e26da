"""Docker Compose's own check of the Compose files, which needs no Docker daemon."""

from __future__ import annotations

import pytest
import yaml

from tests.support.kit import ROOT, program, run

FILES = sorted((ROOT / "examples" / "compose").rglob("compose*.yaml"))


@pytest.fixture(scope="module")
def compose():
    """The command line of Docker Compose."""
    docker = program("docker", "Docker's client")
    if run(docker, "compose", "version").returncode:
        pytest.skip("docker has no plugin compose: Docker Compose 2.40")
    return docker, "compose"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_is_valid(compose, path):
    """By `docker compose config`, with a warning as an error."""
    done = run(*compose, "--file", str(path), "config", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_missing_service_is_found(compose, path, tmp_path):
    """A service that waits for one that is not there is an error."""
    wrong = yaml.safe_load(path.read_text())
    next(iter(wrong["services"].values()))["depends_on"] = ["absent"]
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(wrong))
    done = run(
        *compose,
        "--project-directory",
        str(path.parent),
        "--file",
        str(tmp_path / "compose.yaml"),
        "config",
        "-q",
    )
    assert done.returncode != 0
    assert "absent" in done.stderr
