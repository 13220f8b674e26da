"""The Deployment's command and variables start a service that is traced as the overlay says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind

from tests.kubernetes.kit import Workload
from tests.kubernetes.mesh import environ_of
from tests.lifecycle.servers import environment, serving
from tests.repository.sources import ROOT
from tests.support.servers import free_port

POD = {
    "POD_NAME": "auth-api-6d4cf56db6-x7k2p",
    "POD_NAMESPACE": "auth",
    "POD_UID": "0b1c8f3e-5c1a-4d53-9b7d-0a7f3f2f9d11",
    "POD_IP": "10.1.2.3",
    "NODE_NAME": "node-1",
}
SAMPLED = {
    "x-b3-traceid": "4bf92f3577b34da6a3ce929d0e0e4736",
    "x-b3-spanid": "00f067aa0ba902b7",
    "x-b3-sampled": "1",
}


def workload(kit, overlay: str) -> Workload:
    """The Deployment of an overlay."""
    (found,) = (pod for pod in kit.workloads(overlay) if pod.resource.overlay == overlay)
    return found


@pytest.mark.parametrize("overlay", ["production", "operator"])
def test_service_of_an_overlay(kit, overlay, otlp_receiver, tmp_path):
    """Probes have no span; a request that the gateway sampled has one, and so has one that fails, at 1 %."""
    deployment = workload(kit, f"service/overlays/{overlay}")
    (container,) = deployment.containers
    environ = environment(otlp_receiver.grpc_endpoint, KUBERNETES_SERVICE_HOST="10.0.0.1", **POD)
    environ |= {key: value for key, value in environ_of(kit, deployment).items() if "ENDPOINT" not in key}
    environ |= {"PYTHONPATH": str(ROOT / "examples"), "ECO2_TRACING_STRICT": "true"}
    environ |= {"CHARACTER_API_URL": f"http://127.0.0.1:{free_port()}"}  # refuses connections
    command = [Path(sys.executable).with_name(container["command"][0]).as_posix(), *container["command"][1:]]
    command = ["--port={port}" if argument.startswith("--port=") else argument for argument in command]
    command = ["--host=127.0.0.1" if argument.startswith("--host=") else argument for argument in command]
    probe = container["readinessProbe"]["httpGet"]["path"]
    with serving(command, tmp_path / "log", environ) as served:
        served.wait_for(lambda: answers(served, probe))
        assert served.get("/health-records", **SAMPLED)[0] == 200
        assert served.get("/api/v1/auth/users/mina")[0] == 500
        served.process.terminate()
        served.process.wait(30)
    spans = [span for span in otlp_receiver.spans if span.kind is SpanKind.SERVER]
    assert sorted(span.name for span in spans) == ["GET /api/v1/auth/users/{user_id}", "GET /health-records"]
    resource = spans[0].resource
    assert {resource[f"k8s.{key}"] for key in ("pod.name", "namespace.name", "pod.uid", "node.name")} == {
        POD[key] for key in ("POD_NAME", "POD_NAMESPACE", "POD_UID", "NODE_NAME")
    }
    assert resource["k8s.container.name"] == "auth-api"
    assert resource["deployment.environment.name"] == "production"
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["message"] for line in lines if line["log.level"] == "warning"] == []


def answers(served, path: str) -> bool:
    """Whether a probe succeeds."""
    try:
        return served.get(path)[0] == 200
    except OSError:
        return False
