"""Failures are kept behind a gateway that samples one request in a hundred."""

from __future__ import annotations

import uuid

import pytest
from tests.support.jaeger import wait_for, wait_for_trace
from tests.support.mesh import AUTH, CHARACTER, LOGIN, TRACE_HEADER
from tests.support.proxies import json_lines

from eco2_tracing.testing import b3_headers, traceparent_headers

FAILING = 20
SOUND = 120


def send(mesh, path):
    """Send a request through both services; return its trace id."""
    answer = mesh.send("GET", f"/through/{path}/{uuid.uuid4().hex}")
    assert answer.status_code == 200
    return answer.headers[TRACE_HEADER], answer.json()


def of_services(trace):
    """Service and name of the services' spans, as a tree."""
    return [(s.service, s.name) for _, s in trace.walk() if s.service in {AUTH, CHARACTER}]


CALL = [(AUTH, "GET /through/{path}"), (AUTH, "GET")]
# By path: the status of the response, and the services' spans.
FAILURES = {
    "broken": (500, [*CALL, (CHARACTER, "GET /broken/{key}")]),
    "recovered": (200, [*CALL, (CHARACTER, "GET /recovered/{key}"), (CHARACTER, "look up")]),
}


def whole(held, trace_id, parts):
    """A trace once both services' local traces have arrived."""
    return wait_for(lambda: (t := held.trace(trace_id)) and len(of_services(t)) >= len(parts) and t)


@pytest.mark.parametrize("path", list(FAILURES))
def test_failures_are_kept(sampling_mesh, path):
    """The failed service tells its caller through the sidecars, and both keep their local traces.

    If the callee recovers, the caller knows of the failure only by `server-timing` of a successful response.
    """
    held = sampling_mesh.backend.held
    status, parts = FAILURES[path]
    sent = [send(sampling_mesh, path) for _ in range(FAILING)]
    assert {answered for _, answered in sent} == {status}
    for trace_id, _ in sent:
        trace = whole(held, trace_id, parts)
        assert sorted(of_services(trace)) == sorted(parts), str(trace)
        (failed,) = [span for span in trace.spans if span.is_error and span.service == CHARACTER]
        assert [event.name for event in failed.events] == ["exception"]
    # Proxies have no spans of requests that the gateway did not sample.
    partial = [trace_id for trace_id, _ in sent if len(held.trace(trace_id).spans) == len(parts)]
    assert len(partial) >= FAILING / 2


def test_successes_are_not_kept(sampling_mesh):
    """Successful requests are whole or absent, as the gateway decided; their ids are in the logs."""
    held = sampling_mesh.backend.held
    sent = [send(sampling_mesh, "api/v1/characters")[0] for _ in range(SOUND)]
    tree = sampling_mesh.tree(LOGIN)
    chosen = [trace_id for trace_id in sent if held.trace(trace_id).spans]
    for trace_id in chosen:
        trace = wait_for_trace(held, trace_id, len(tree))
        assert [(depth, span.service) for depth, span in trace.walk()] == tree, str(trace)
    last, _ = send(sampling_mesh, "broken")
    whole(held, last, FAILURES["broken"][1])  # earlier spans have arrived
    # At one in a hundred, the probability that ten of 120 are sampled is below 10**-6.
    assert len([trace_id for trace_id in sent if held.trace(trace_id).spans]) < 10
    for service in (AUTH, CHARACTER):
        logged = {line.get("trace.id") for line in json_lines(sampling_mesh.services[service])}
        assert set(sent) <= logged


def test_decision_of_an_external_client(sampling_mesh):
    """With Zipkin the gateway follows a sampled client; with OpenTelemetry it decides itself."""
    held, tree = sampling_mesh.backend.held, sampling_mesh.tree(LOGIN)
    follows = sampling_mesh.provider.speaks == "zipkin"
    headers = b3_headers if follows else traceparent_headers
    sent = [sampling_mesh.log_in(headers(uuid.uuid4().hex, "c" * 16)) for _ in range(5)]
    if follows:
        for trace_id in sent:
            trace = wait_for_trace(held, trace_id, len(tree))
            assert [(depth, span.service) for depth, span in trace.walk()] == tree, str(trace)
        return
    last, _ = send(sampling_mesh, "broken")
    whole(held, last, FAILURES["broken"][1])  # earlier spans have arrived
    assert [len(held.trace(trace_id).spans) for trace_id in sent].count(0) >= 4
