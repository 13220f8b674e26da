"""Sampling decisions behind a gateway that samples one request in a hundred, by tracing provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.jaeger import wait_for, wait_for_trace
from tests.support.mesh import (
    AUTH,
    AUTH_PROXY,
    CHARACTER,
    CHARACTER_PROXY,
    TRACE_HEADER,
    Mesh,
    running_mesh,
)
from tests.support.proxies import GATEWAY, PROVIDERS, json_lines

PROXIES = {GATEWAY, AUTH_PROXY, CHARACTER_PROXY}


@pytest.fixture(scope="module", params=["Zipkin", "OpenTelemetry"])
def deciding_mesh(request: pytest.FixtureRequest, backend) -> Iterator[Mesh]:
    """One in a hundred at the gateway; 100 % at the sidecars if the provider needs it (docs/mesh.md)."""
    inside = 100.0 if request.param == "OpenTelemetry" else 1.0
    with running_mesh(PROVIDERS[request.param], backend, sampling=1.0, inside=inside) as running:
        yield running


def shape(trace):
    """The depth of each service's span, and its name if it is an application's."""
    walk = trace.walk()
    return [(depth, one.service, None if one.service in PROXIES else one.name) for depth, one in walk]


def test_trace_begun_by_a_service(deciding_mesh):
    """A sampled trace of a service is whole, because each sidecar follows."""
    for _ in range(3):
        answer = deciding_mesh.send_past(AUTH, "/through/api/v1/characters/mina")
        trace = wait_for_trace(deciding_mesh.backend.held, answer.headers[TRACE_HEADER], 5)
        assert shape(trace) == [
            (0, AUTH, "GET /through/{path}"),
            (1, AUTH, "GET"),
            (2, AUTH_PROXY, None),
            (3, CHARACTER_PROXY, None),
            (4, CHARACTER, "GET /api/v1/characters/{user_id}"),
        ], str(trace)


def test_calls_after_a_failure(deciding_mesh):
    """They are sampled, and every hop keeps its local trace."""
    held, followed = deciding_mesh.backend.held, 0
    below = [
        (AUTH, "GET /stumble/{path}"),
        (AUTH, "look up"),
        (AUTH, "GET"),
        (AUTH_PROXY, None),
        (CHARACTER_PROXY, None),
        (CHARACTER, "GET /api/v1/characters/{user_id}"),
    ]
    for _ in range(5):
        answer = deciding_mesh.send("GET", "/stumble/api/v1/characters/mina")
        trace = wait_for_trace(held, answer.headers[TRACE_HEADER], len(below))
        if GATEWAY in trace.services:  # the gateway sampled it: its own span and its sidecar's exist too
            trace = wait_for_trace(held, answer.headers[TRACE_HEADER], len(below) + 3)
        assert [(service, name) for _, service, name in shape(trace)][-len(below) :] == below, str(trace)
        followed += GATEWAY not in trace.services
    assert followed >= 3  # those that the gateway did not sample


def test_unsampled_successes_stay_unsampled(deciding_mesh):
    """No sidecar samples what the gateway did not sample, whatever its own percentage."""
    held = deciding_mesh.backend.held
    sent = [deciding_mesh.log_in() for _ in range(30)]
    last = deciding_mesh.send_past(AUTH, "/through/api/v1/characters/mina")
    wait_for_trace(held, last.headers[TRACE_HEADER], 5)  # earlier spans have arrived
    assert [len(held.trace(trace_id).spans) for trace_id in sent].count(0) >= 25

    def request_ids(name):
        """Request ids without the first digit of the third group, which holds Envoy's decision."""
        lines = json_lines(deciding_mesh.proxies[name])
        return {line["request_id"][:14] + line["request_id"][15:] for line in lines}

    wait_for(lambda: len(request_ids(GATEWAY)) >= len(sent))
    for sidecar in (AUTH_PROXY, CHARACTER_PROXY):
        wait_for(lambda name=sidecar: request_ids(name) >= request_ids(GATEWAY))


def test_opentelemetry_sidecars_decide_again(backend):
    """With one in a hundred at the sidecars, that provider breaks traces of services.

    If this fails, Envoy has changed, and docs/mesh.md must be updated.
    """
    with running_mesh(PROVIDERS["OpenTelemetry"], backend, sampling=1.0) as mesh:
        sent = [mesh.send_past(AUTH, "/through/api/v1/characters/mina") for _ in range(5)]
        traces = [wait_for_trace(backend.held, one.headers[TRACE_HEADER], 2) for one in sent]
    ends = [[one.service for one in backend.held.trace(trace.trace_id).spans] for trace in traces]
    assert ends.count([AUTH, AUTH]) >= 4
