"""Behind a gateway that samples one request in a hundred, a failure is there all the same."""

from __future__ import annotations

import uuid

from tests.support.jaeger import wait_for
from tests.support.mesh import AUTH, CHARACTER, TRACE_HEADER, json_lines

FAILING = 30
SOUND = 30


def send(mesh, path):
    """Send a request through both services; the trace that it was in."""
    answer = mesh.send("GET", f"/through/{path}/{uuid.uuid4().hex}")
    assert answer.status_code == 200
    return answer.headers[TRACE_HEADER], answer.json()


def of_services(trace):
    """Service and name of the spans that are not the proxies', as they hang together."""
    return [(s.service, s.name) for _, s in trace.walk() if s.service in {AUTH, CHARACTER}]


FAILED = [(AUTH, "GET /through/{path}"), (AUTH, "GET"), (CHARACTER, "GET /broken/{key}")]


def whole(held, trace_id):
    """A trace, once both services' parts of a failure are held."""
    return wait_for(lambda: (t := held.trace(trace_id)) and len(of_services(t)) >= len(FAILED) and t)


def test_failures_are_kept(sparing_mesh):
    """The failing service keeps its part, and tells its caller, through the sidecars, who keeps the other part.

    The caller's own answer is a success: all that it knows is the `server-timing` of the answer that it got.
    """
    held = sparing_mesh.backend.held
    sent = [send(sparing_mesh, "broken") for _ in range(FAILING)]
    assert {status for _, status in sent} == {500}
    for trace_id, _ in sent:
        trace = whole(held, trace_id)
        assert sorted(of_services(trace)) == sorted(FAILED), str(trace)
        (failed,) = [span for span in trace.spans if span.service == CHARACTER]
        assert failed.is_error
        assert [event.name for event in failed.events] == ["exception"]
    # What the gateway did not sample, its proxies did not keep.
    partial = [trace_id for trace_id, _ in sent if len(held.trace(trace_id).spans) == len(FAILED)]
    assert len(partial) >= FAILING / 2


def test_successes_are_not(sparing_mesh):
    """Requests that go well are there whole or not at all, as the gateway decided; their ids are in the logs."""
    held = sparing_mesh.backend.held
    sent = [send(sparing_mesh, "api/v1/characters")[0] for _ in range(SOUND)]
    last, _ = send(sparing_mesh, "broken")
    whole(held, last)  # what came before it is here
    sizes = [len(held.trace(trace_id).spans) for trace_id in sent]
    assert sizes.count(0) >= SOUND / 2
    for service in (AUTH, CHARACTER):
        logged = {line.get("trace.id") for line in json_lines(sparing_mesh.services[service])}
        assert set(sent) <= logged
