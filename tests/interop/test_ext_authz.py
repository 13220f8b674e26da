"""The Go service of `examples/go-ext-authz` in Envoy's ext_authz: its spans are in the trace of each request."""

from __future__ import annotations

import os
import shutil
import subprocess

import httpx
import pytest

from tests.repository.sources import ROOT
from tests.support.compose import composed_with_store
from tests.support.jaeger import wait_for_trace
from tests.support.trees import assert_shown

EXAMPLES = ROOT / "examples"
SOURCE = EXAMPLES / "go-ext-authz"
PAGE = "docs/interop.md"


def go(*arguments):
    """Run the go command in the example's folder."""
    environ = os.environ | {"GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
    command = ("go", *arguments)
    return subprocess.run(
        command, cwd=SOURCE, env=environ, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The built service; skips without Go, or if its modules can be had neither from the cache nor from the proxy."""
    if shutil.which("go") is None:
        pytest.skip("no command go on PATH")
    fetched = go("mod", "download")
    if fetched.returncode:
        pytest.skip(f"go mod download: {fetched.stderr.strip().splitlines()[-1]}")
    path = tmp_path_factory.mktemp("go") / "ext-authz"
    built = go("build", "-o", str(path), ".")
    assert built.returncode == 0, built.stderr
    return path


@pytest.fixture(scope="module")
def mesh(program, tmp_path_factory):
    """The Compose example with this service, and the store of their spans."""
    files = (EXAMPLES / "compose" / "compose.yaml", SOURCE / "compose.yaml")
    with composed_with_store(
        *files,
        folder=tmp_path_factory.mktemp("mesh"),
        code=EXAMPLES,
        programs={"ext-authz": [str(program)]},
        ready={"ext-authz": "listening on"},
        environ={"OTEL_BSP_SCHEDULE_DELAY": "100"},
    ) as running:
        yield running


def send(mesh, headers):
    """Send a login to the gateway."""
    running, _ = mesh
    with httpx.Client(trust_env=False, timeout=20, headers=headers) as client:
        url = f"{running.url('gateway', 8080)}/api/v1/auth/login"
        return client.post(url, json={"user_id": "mina"})


def test_allowed(mesh):
    """The check is a branch of the gateway's span, beside the request itself."""
    answer = send(mesh, {"authorization": "Bearer of-the-test"})
    assert answer.status_code == 200, answer.text
    trace = wait_for_trace(mesh[1], answer.headers["x-trace-id"], 13)
    assert trace.is_one_tree
    (decided,) = [span for span in trace.spans if span.name == "authorize"]
    assert decided.attributes["authz.decision"] == "allowed"
    assert_shown(trace, PAGE)


def test_denied(mesh):
    """The trace has the gateway's and this service's spans, none of the services behind, and says why."""
    answer = send(mesh, {})
    assert answer.status_code == 401
    trace = wait_for_trace(mesh[1], answer.headers["x-trace-id"], 4)
    assert trace.is_one_tree
    (decided,) = [span for span in trace.spans if span.name == "authorize"]
    assert decided.attributes["authz.decision"] == "denied"
    assert not decided.is_error
    (root,) = trace.roots
    assert root.attributes["http.status_code"] == "401"
    assert_shown(trace, PAGE)


def test_client_that_is_not_sampled(mesh):
    """The service follows the decision of the trace: a denied request leaves no span."""
    trace_id = "d" * 32
    headers = {"x-b3-traceid": trace_id, "x-b3-spanid": "c" * 16, "x-b3-sampled": "0"}
    assert send(mesh, headers).headers["x-trace-id"] == trace_id
    later = send(mesh, {}).headers["x-trace-id"]
    wait_for_trace(mesh[1], later, 4)
    assert mesh[1].trace(trace_id).spans == ()
