"""The kit's two tiers of collectors between its services and its Jaeger: whole traces of failures, 1 % of the rest."""

from __future__ import annotations

import copy
import os

import httpx
import pytest

from eco2_tracing._cli.processes import Child
from tests.support.cluster import AUTH, CHARACTER, TRACE_HEADER, Cluster, running_jaeger, start_service
from tests.support.jaeger_client import wait_for, wait_for_trace
from tests.support.kit import KIT, program, rendered
from tests.support.kit_variants import character_api
from tests.support.pods import Pods

PLAIN = KIT / "collector" / "plain"
FAILURES, SUCCESSES = 10, 60
NAMES = {"POD_NAME", "POD_NAMESPACE", "NODE_NAME"}
BADGES = [
    (0, AUTH, "GET /api/v1/auth/users/{user_id}"),
    (1, AUTH, "GET"),
    (2, CHARACTER, "GET /api/v1/characters/{user_id}/badges"),
]


def start_collector(cluster, name, kind, number, environ, *options):
    """Start one Pod of a tier with its own configuration."""
    (workload,) = [one for one in rendered(PLAIN) if (one["kind"], one["metadata"]["name"]) == (kind, name)]

    def command(pod):
        config = f"--config={PLAIN}/{name.removeprefix('otel-')}-config.yaml"
        line = [program("otelcol", "the OpenTelemetry collector 0.158.0"), config, *options]
        process = Child(name, pod.network.command(line), environ | {"KUBE_NODE_NAME": "node-1"}, grace_s=3.0)
        process.wait_for_line("Everything is ready")
        return process

    return cluster.start(f"{name}-{number}", "observability", workload["spec"]["template"], command=command)


@pytest.fixture(scope="module")
def cluster(server):
    """The node's Pods."""
    made = Cluster(server, Pods(server))
    yield made
    made.stop(*made.workloads)


@pytest.fixture(scope="module")
def jaeger(cluster):
    """Jaeger behind the collectors: an agent, and two members of the second tier, which decide after a second."""
    program("otelcol", "the OpenTelemetry collector 0.158.0")
    with running_jaeger(cluster) as running:
        cluster.apply(rendered(PLAIN))
        soon = "--set=processors.tail_sampling.decision_wait=1s"
        for number in (1, 2):
            start_collector(cluster, "otel-gateway", "Deployment", number, os.environ, soon)
        account = cluster.server.inside_a_pod("observability", "otel-agent")
        start_collector(cluster, "otel-agent", "DaemonSet", 1, os.environ | account)
        yield running


@pytest.fixture(scope="module")
def auth(cluster, jaeger):
    """The URL of auth-api, which calls character-api; both export every request to the agent."""
    documents = copy.deepcopy(rendered(KIT / "service" / "overlays" / "production-collector"))
    (deployment,) = [one for one in documents if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    # The services know their pod's uid alone, so that the names in their spans are the agent's.
    container["env"] = [one for one in container["env"] if one["name"] not in NAMES]
    for one in (character_api(documents), documents):
        cluster.apply([part for part in one if not part["apiVersion"].startswith("telemetry")])
        workload = start_service(cluster, one)
    return f"http://{workload.pod.network.address}:8000"


def fail(cluster, auth):
    """Send a request that fails in character-api, and from which auth-api recovers; return the trace id."""
    process = cluster.workloads[CHARACTER].process
    before = sum("Exception in ASGI application" in line for line in process.lines)
    answer = httpx.get(f"{auth}/api/v1/auth/users/mina", trust_env=False)
    # uvicorn then closes the connection, without saying so before.
    wait_for(lambda: sum("Exception in ASGI application" in line for line in process.lines) > before)
    assert answer.status_code == 200
    return answer.headers[TRACE_HEADER]


def test_failures_are_whole(cluster, auth, jaeger):
    """The caller recovered, so it has no error of its own; its spans are kept all the same."""
    sent = [fail(cluster, auth) for _ in range(FAILURES)]
    with httpx.Client(base_url=auth, trust_env=False) as client:
        sound = [client.get("/health-records").headers[TRACE_HEADER] for _ in range(SUCCESSES)]
    for trace_id in sent:
        trace = wait_for_trace(jaeger, trace_id, len(BADGES), 60.0)
        assert [(depth, one.service, one.name) for depth, one in trace.walk()] == BADGES, str(trace)
    # At one in a hundred, the probability that nine of 60 are sampled is below 10**-7.
    assert sum(bool(jaeger.trace(trace_id).spans) for trace_id in sound) < 9


def test_spans_have_the_names_of_their_pod(cluster, auth, jaeger):
    """The agent reads them from the API server, with the rights of its service account."""
    trace = wait_for_trace(jaeger, fail(cluster, auth), len(BADGES), 60.0)
    names = {
        (span.resource["k8s.namespace.name"], span.resource["k8s.pod.name"], span.resource["k8s.node.name"])
        for span in trace.spans
    }
    assert names == {("auth", AUTH, "node-1"), ("character", CHARACTER, "node-1")}
