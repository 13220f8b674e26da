"""The kit's two tiers of collectors between its services and its Jaeger: whole traces of failures, 1 % of the rest."""

from __future__ import annotations

import copy

import httpx
import pytest

from tests.support.cluster import AUTH, CHARACTER, TRACE_HEADER, Cluster, running_jaeger, start_service
from tests.support.collector_tiers import start_tiers
from tests.support.jaeger_client import wait_for, wait_for_trace
from tests.support.kit import KIT, rendered
from tests.support.kit_variants import character_api
from tests.support.pods import Pods

FAILURES, SUCCESSES = 10, 60
NAMES = {"POD_NAME", "POD_NAMESPACE", "NODE_NAME"}
BADGES = [
    (0, AUTH, "GET /api/v1/auth/users/{user_id}"),
    (1, AUTH, "GET"),
    (2, CHARACTER, "GET /api/v1/characters/{user_id}/badges"),
]


@pytest.fixture(scope="module")
def cluster(server):
    """The node's Pods."""
    made = Cluster(server, Pods(server))
    yield made
    made.stop(*made.workloads)


@pytest.fixture(scope="module")
def jaeger(cluster):
    """Jaeger behind both tiers."""
    with running_jaeger(cluster) as running:
        start_tiers(cluster)
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
