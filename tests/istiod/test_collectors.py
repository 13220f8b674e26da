"""The overlays `production-collector`: proxies and services export everything, and the collectors decide."""

from __future__ import annotations

import pytest

from tests.istiod.trees import drawn, shape
from tests.support.cluster import AUTH, CHARACTER, TRACE_HEADER
from tests.support.collector_tiers import start_tiers
from tests.support.istio_mesh import GATEWAY, running_mesh
from tests.support.jaeger_client import wait_for_trace

BADGES = [
    (0, GATEWAY, None),
    (1, GATEWAY, None),
    (2, AUTH, None),
    (3, AUTH, "GET /api/v1/auth/users/{user_id}"),
    (4, AUTH, "GET"),
    (5, AUTH, None),
    (6, CHARACTER, None),
    (7, CHARACTER, "GET /api/v1/characters/{user_id}/badges"),
]
SUCCESSES = 60


@pytest.fixture
def mesh(cluster, jaeger):
    """The mesh with both tiers of collectors in front of Jaeger, and with enforced NetworkPolicies."""
    names = start_tiers(cluster)
    with running_mesh(cluster, jaeger, "collector", "production-collector", policies=True) as running:
        yield running
    cluster.stop(*names)


def test_traces_of_failures_have_the_proxies(mesh):
    """One tree from the gateway to the service that failed, and one in a hundred of the others."""
    sound = [mesh.log_in() for _ in range(SUCCESSES)]
    for _ in range(5):
        answer = mesh.send("GET", "/api/v1/auth/users/mina")
        trace = wait_for_trace(mesh.jaeger, answer.headers[TRACE_HEADER], len(BADGES), 60.0)
        assert shape(trace) == BADGES, str(trace)
    print(drawn(trace))
    # At one in a hundred, the probability that nine of 60 are sampled is below 10**-7.
    assert sum(bool(mesh.jaeger.trace(trace_id).spans) for trace_id in sound) < 9
