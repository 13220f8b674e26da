"""Gateway and sidecars with streams, WebSockets, health checks and the `server-timing` header."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.support.jaeger import wait_for, wait_for_trace
from tests.support.mesh import (
    AUTH,
    AUTH_PROXY,
    CHARACTER,
    CHARACTER_PROXY,
    LOGIN,
    TRACE_HEADER,
    Mesh,
    running_mesh,
)
from tests.support.proxies import GATEWAY, PROVIDERS, json_lines
from websockets.sync.client import connect


@pytest.fixture(scope="module", params=["Zipkin", "Zipkin with W3C", "OpenTelemetry"])
def open_mesh(request: pytest.FixtureRequest, backend) -> Iterator[Mesh]:
    """A mesh that samples everything."""
    with running_mesh(PROVIDERS[request.param], backend) as running:
        yield running


def held(mesh, trace_id, tree):
    """A trace in which these services have spans of these depths."""
    trace = wait_for_trace(mesh.backend.held, trace_id, len(tree))
    assert [(depth, span.service) for depth, span in trace.walk()] == tree, str(trace)
    return trace


def named(trace, name, service):
    """The only span of a service with a name."""
    (found,) = [span for span in trace.spans if (span.name, span.service) == (name, service)]
    return found


def stream(mesh, count):
    """Read a stream through two services; return its lines, its end and its trace."""
    lines, broken = [], None
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("GET", f"{mesh.url}/relay/{count}") as answer,
    ):
        try:
            lines += [line for line in answer.iter_lines() if line]
        except httpx.RemoteProtocolError as error:
            broken = error
        return lines, broken, answer.headers[TRACE_HEADER]


def test_stream_is_one_request(open_mesh):
    """Each hop's span lasts as long as its stream; spans within the stream are its descendants."""
    lines, broken, trace_id = stream(open_mesh, 4)
    assert (lines, broken) == ([f"data: {number}" for number in range(4)], None)
    trace = held(open_mesh, trace_id, open_mesh.tree([*LOGIN, *[(6, CHARACTER)] * 4]))
    served, relayed = named(trace, "GET /events/{count}", CHARACTER), named(trace, "GET /relay/{count}", AUTH)
    events = [span for span in trace.spans if span.name == "event"]
    assert {event.parent_span_id for event in events} == {served.span_id}
    assert max(event.end_ns for event in events) <= served.end_ns
    assert max(event.end_ns for event in events) <= relayed.end_ns
    assert not [span for span in trace.spans if span.is_error]


def test_broken_stream(open_mesh):
    """The client sees it break, and the spans of both services have the reason."""
    lines, broken, trace_id = stream(open_mesh, -2)
    assert broken is not None
    assert lines == ["data: 0", "data: 1"][: len(lines)]  # a proxy may drop data that it has not forwarded
    trace = held(open_mesh, trace_id, open_mesh.tree([*LOGIN, *[(6, CHARACTER)] * 2]))
    served, relayed = named(trace, "GET /events/{count}", CHARACTER), named(trace, "GET /relay/{count}", AUTH)
    assert served.is_error
    assert relayed.is_error
    assert [event.attributes["exception.message"] for event in served.events] == ["nothing more"]


def test_websocket_is_one_request(open_mesh):
    """From the handshake to the close, with calls as descendants."""
    with connect(f"ws{open_mesh.url.removeprefix('http')}/ws/lobby", proxy=None) as socket:
        trace_id = socket.recv(timeout=20)
        for user in ("mina", "jun"):
            socket.send(user)
            assert socket.recv(timeout=20) == user.title()
    trace = held(open_mesh, trace_id, open_mesh.tree([*LOGIN, *LOGIN[2:]]))
    served = named(trace, "HTTP /ws/{room}", AUTH)
    calls = trace.children(served)
    assert [call.service for call in calls] == [AUTH, AUTH]
    assert max(call.end_ns for call in calls) <= served.end_ns
    assert served.attributes["url.scheme"] == "ws"
    assert not served.is_error


def test_health_check_ends_its_trace(open_mesh):
    """Below an excluded path neither services nor proxies have spans; every log line has the trace id."""
    assert open_mesh.send("GET", "/healthz/deep/").json() == 200

    def logged(process, **wanted):
        lines = [line for line in json_lines(process) if line | wanted == line]
        return {line.get("trace_id", line.get("trace.id")) for line in lines}

    gateway, beside_character = (open_mesh.proxies[name] for name in (GATEWAY, CHARACTER_PROXY))
    (trace_id,) = wait_for(lambda: logged(gateway, path="/healthz/deep/"))
    wait_for(lambda: logged(beside_character, path="/healthz/") == {trace_id})
    for service in (AUTH, CHARACTER):
        assert trace_id in logged(open_mesh.services[service], message="checked")
    wait_for_trace(open_mesh.backend.held, open_mesh.log_in(), len(open_mesh.tree(LOGIN)))  # it came later
    trace = held(open_mesh, trace_id, open_mesh.tree([(0, AUTH_PROXY)]))
    assert trace.orphans == ()


def test_server_timing_passes_the_proxies(backend):
    """A service that keeps an unsampled local trace tells its caller through every proxy."""
    with running_mesh(PROVIDERS["Zipkin"], backend, sampling=0.0) as mesh:
        kept = mesh.send("GET", "/recovered/x")
        fine = mesh.send("GET", "/api/v1/characters/mina")
    trace_id = kept.headers[TRACE_HEADER]
    named, _, value = kept.headers["server-timing"].partition(";desc=")
    version, told, _, flags = value.strip('"').split("-")
    assert (named, version, told, flags) == ("trace", "00", trace_id, "01")
    assert "server-timing" not in fine.headers
    trace = wait_for_trace(backend.held, trace_id, 2)
    assert [span.service for span in trace.spans] == [AUTH, AUTH]
