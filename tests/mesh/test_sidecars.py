"""Gateway, sidecars and services of a real mesh: one request is one tree, whatever the proxies do with it."""

from __future__ import annotations

import uuid

import pytest
from tests.support.jaeger import wait_for, wait_for_trace
from tests.support.mesh import AUTH, AUTH_PROXY, CHARACTER, CHARACTER_PROXY, TRACE_HEADER, running_mesh
from tests.support.proxies import PROVIDERS, json_lines

from eco2_tracing._cli._envoy import GATEWAY
from eco2_tracing.testing import b3_headers, traceparent_headers

LOGIN = [
    (0, GATEWAY),
    (1, AUTH_PROXY),
    (2, AUTH),
    (3, AUTH),
    (4, AUTH_PROXY),
    (5, CHARACTER_PROXY),
    (6, CHARACTER),
]
CALLER = "c" * 16


def held(mesh, trace_id, count):
    """A trace, once so many of its spans are held."""
    return wait_for_trace(mesh.backend.held, trace_id, count)


def shape(trace):
    """How deep each service's spans are."""
    return [(depth, span.service) for depth, span in trace.walk()]


def new_id(digits=32):
    """A trace id that no other test has."""
    return uuid.uuid4().hex[-digits:]


def speaks(mesh, *names):
    """Whether the proxies of a mesh have one of these providers."""
    return any(mesh.provider is PROVIDERS[name] for name in names)


def test_a_login_is_one_tree(mesh):
    """Every proxy and every service has its span below that of the one before it."""
    trace = held(mesh, mesh.log_in(), len(LOGIN))
    assert shape(trace) == LOGIN, str(trace)
    assert len(trace.roots) == 1
    assert trace.orphans == ()
    names = [span.name for _, span in trace.walk() if span.service in {AUTH, CHARACTER}]
    assert names == ["POST /api/v1/auth/login", "GET", "GET /api/v1/characters/{user_id}"]


def test_logs_agree(mesh):
    """Proxies' access logs and services' ECS lines hold the same trace id and, proxies, one request id."""
    trace_id = mesh.log_in(user="logged")
    accesses = wait_for(
        lambda: (
            (
                found := [
                    line
                    for proxy in mesh.proxies.values()
                    for line in json_lines(proxy)
                    if line["trace_id"].zfill(32) == trace_id
                ]
            )
            and len(found) == 4
            and found
        )
    )
    assert len({line["request_id"] for line in accesses}) == 1
    for service in mesh.services.values():
        told = [line for line in json_lines(service) if line.get("trace.id") == trace_id]
        assert {"mesh", "uvicorn.access"} <= {line["log.logger"] for line in told}


def test_a_client_outside_is_continued(mesh):
    """Ids of a client, of 128 or 64 bits, are everybody's; its decision is, too."""
    b3 = not speaks(mesh, "OpenTelemetry")
    for digits in (32, 16) if b3 else (32,):
        trace_id = new_id(digits)
        headers = b3_headers(trace_id, CALLER) if b3 else traceparent_headers(trace_id, CALLER)
        assert mesh.log_in(headers) == trace_id.zfill(32)
        trace = held(mesh, trace_id.zfill(32), len(LOGIN))
        assert shape(trace) == LOGIN, str(trace)
        assert [top.parent_span_id for top in trace.tops] == [CALLER]


def test_a_client_that_does_not_sample(mesh):
    """An unsampled request that goes well leaves no span anywhere, and its id in the logs."""
    b3 = not speaks(mesh, "OpenTelemetry")
    trace_id = new_id()
    headers = b3_headers if b3 else traceparent_headers
    assert mesh.log_in(headers(trace_id, CALLER, sampled=False)) == trace_id
    held(mesh, mesh.log_in(), len(LOGIN))  # what came after it is here
    assert mesh.backend.held.trace(trace_id).spans == ()
    assert any(line.get("trace.id") == trace_id for line in json_lines(mesh.services[CHARACTER]))


def test_a_client_that_leaves_the_decision(mesh):
    """A deferred decision is taken by the gateway, once for all."""
    if speaks(mesh, "OpenTelemetry"):
        pytest.skip("W3C Trace Context knows no deferred decision")
    trace_id = new_id()
    assert mesh.log_in(b3_headers(trace_id, CALLER, sampled=None)) == trace_id
    trace = held(mesh, trace_id, len(LOGIN))
    assert shape(trace) == LOGIN, str(trace)


def test_stale_headers_of_another_format(mesh):
    """Where the proxies read one format alone, the other one that a client sends tears nothing apart."""
    stale = new_id()
    w3c = speaks(mesh, "OpenTelemetry", "Zipkin with W3C")
    headers = (
        b3_headers(stale, CALLER) if speaks(mesh, "OpenTelemetry") else traceparent_headers(stale, CALLER)
    )
    trace_id = mesh.log_in(headers)
    assert trace_id != stale or w3c
    trace = held(mesh, trace_id, len(LOGIN))
    assert shape(trace) == LOGIN, str(trace)


@pytest.mark.parametrize(
    ("path", "answers"), [("flaky", [503, 200]), ("slow", [None, 200])], ids=["503", "time-out"]
)
def test_the_gateway_tries_again(mesh, path, answers):
    """Each try is a branch below the gateway's one span, with a span of the sidecar and one of the service."""
    answer = mesh.send("GET", f"/{path}/{new_id()}")
    assert answer.status_code == 200
    trace = held(mesh, answer.headers[TRACE_HEADER], 5)
    one_try = [(1, AUTH_PROXY), (2, AUTH)]
    assert shape(trace) == [(0, GATEWAY), *one_try, *one_try], str(trace)
    assert trace.orphans == ()
    served = [span for span in trace.spans if span.service == AUTH]
    assert [span.attributes.get("http.response.status_code") for span in served][-1] == answers[-1]
    if answers[0] is not None:
        assert served[0].attributes["http.response.status_code"] == answers[0]
        assert [span.is_error for span in served] == [True, False]


def test_the_services_sidecar_tries_again(mesh):
    """The service makes one call; its sidecar's tries are branches below it."""
    answer = mesh.send("GET", f"/through/flaky/{new_id()}")
    assert answer.json() == 200
    trace = held(mesh, answer.headers[TRACE_HEADER], len(LOGIN) + 2)
    assert shape(trace) == [*LOGIN, *LOGIN[-2:]], str(trace)
    assert trace.orphans == ()


def test_a_proxy_gives_up(mesh):
    """Where every try takes too long the client gets a 504, and all that was tried is in one tree."""
    answer = mesh.send("GET", f"/through/hung/{new_id()}")
    assert answer.json() == 504
    trace = held(mesh, answer.headers[TRACE_HEADER], len(LOGIN) + 4)
    assert shape(trace) == [*LOGIN, *LOGIN[-2:], *LOGIN[-2:]], str(trace)
    (call,) = [span for span in trace.spans if span.service == AUTH and span.name == "GET"]
    assert call.attributes["http.response.status_code"] == 504
    assert call.is_error


@pytest.mark.parametrize("provider", ["Zipkin", "OpenTelemetry"])
def test_a_gateway_with_a_span_for_each_try(backend, provider):
    """Where istiod lets the gateway make two kinds of spans, each try hangs below its own."""
    with running_mesh(PROVIDERS[provider], backend, upstream_spans=True) as mesh:
        login = held(mesh, mesh.log_in(), len(LOGIN) + 1)
        answer = mesh.send("GET", f"/flaky/{new_id()}")
        retried = held(mesh, answer.headers[TRACE_HEADER], 7)
    below = [(depth + 1, service) for depth, service in LOGIN]
    assert shape(login) == [(0, GATEWAY), *below], str(login)
    one_try = below[:3]
    assert shape(retried) == [(0, GATEWAY), *one_try, *one_try], str(retried)
