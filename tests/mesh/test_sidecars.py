"""Gateway, sidecars and services of a real mesh: one request is one tree, whatever the proxies do."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from tests.support.jaeger import wait_for, wait_for_trace
from tests.support.mesh import (
    AUTH,
    AUTH_PROXY,
    CHARACTER,
    LOGIN,
    TRACE_HEADER,
    running_mesh,
)
from tests.support.proxies import GATEWAY, PROVIDERS, json_lines

from eco2_tracing.testing import b3_headers, traceparent_headers

CALLER = "c" * 16


def held(mesh, trace_id, *tries):
    """A trace that is one tree: the gateway's span, and the named spans below each attempt."""
    tree = mesh.tree(*tries)
    trace = wait_for_trace(mesh.backend.held, trace_id, len(tree))
    assert [(depth, span.service) for depth, span in trace.walk()] == tree, str(trace)
    assert len(trace.tops) == 1
    return trace


def new_id(digits=32):
    """A trace id that no other test uses."""
    return uuid.uuid4().hex[-digits:]


def speaks(mesh, *names):
    """Whether the mesh has one of these providers."""
    return any(mesh.provider is PROVIDERS[name] for name in names)


def test_login_is_one_tree(mesh):
    """The span of each proxy and service is a child of the previous one's."""
    trace = held(mesh, mesh.log_in(), LOGIN)
    assert len(trace.roots) == 1
    assert trace.orphans == ()
    names = [span.name for _, span in trace.walk() if span.service in {AUTH, CHARACTER}]
    assert names == ["POST /api/v1/auth/login", "GET", "GET /api/v1/characters/{user_id}"]


def test_logs_agree(mesh):
    """Access logs and ECS lines have the same trace id, and access logs one request id."""
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


def test_trace_of_an_external_client_is_continued(mesh):
    """Its ids, of 128 or 64 bits, and its decision apply at every hop."""
    b3 = not speaks(mesh, "OpenTelemetry")
    for digits in (32, 16) if b3 else (32,):
        trace_id = new_id(digits)
        headers = b3_headers(trace_id, CALLER) if b3 else traceparent_headers(trace_id, CALLER)
        assert mesh.log_in(headers) == trace_id.zfill(32)
        trace = held(mesh, trace_id.zfill(32), LOGIN)
        assert [top.parent_span_id for top in trace.tops] == [CALLER]


def test_unsampled_client(mesh):
    """A successful request leaves no span, and its id in the logs."""
    b3 = not speaks(mesh, "OpenTelemetry")
    trace_id = new_id()
    headers = b3_headers if b3 else traceparent_headers
    assert mesh.log_in(headers(trace_id, CALLER, sampled=False)) == trace_id
    held(mesh, mesh.log_in(), LOGIN)  # later spans have arrived
    assert mesh.backend.held.trace(trace_id).spans == ()
    assert any(line.get("trace.id") == trace_id for line in json_lines(mesh.services[CHARACTER]))


def test_client_that_defers_the_decision(mesh):
    """The gateway decides once for every hop."""
    if speaks(mesh, "OpenTelemetry"):
        pytest.skip("W3C Trace Context knows no deferred decision")
    trace_id = new_id()
    assert mesh.log_in(b3_headers(trace_id, CALLER, sampled=None)) == trace_id
    held(mesh, trace_id, LOGIN)


def test_stale_headers_of_another_format(mesh):
    """If the proxies read one format alone, headers in another one do not break the trace."""
    stale = new_id()
    w3c = speaks(mesh, "OpenTelemetry", "Zipkin with W3C")
    headers = (
        b3_headers(stale, CALLER) if speaks(mesh, "OpenTelemetry") else traceparent_headers(stale, CALLER)
    )
    trace_id = mesh.log_in(headers)
    assert trace_id != stale or w3c
    held(mesh, trace_id, LOGIN)


@pytest.mark.parametrize(
    ("path", "answers"), [("flaky", [503, 200]), ("slow", [None, 200])], ids=["503", "time-out"]
)
def test_retries_of_the_gateway(mesh, path, answers):
    """Each attempt is a branch below the gateway's span, with spans of sidecar and service."""
    answer = mesh.send("GET", f"/{path}/{new_id()}")
    assert answer.status_code == 200
    one_try = [(0, AUTH_PROXY), (1, AUTH)]
    trace = held(mesh, answer.headers[TRACE_HEADER], one_try, one_try)
    served = [span for span in trace.spans if span.service == AUTH]
    assert [span.attributes.get("http.response.status_code") for span in served][-1] == answers[-1]
    if answers[0] is not None:
        assert served[0].attributes["http.response.status_code"] == answers[0]
        assert [span.is_error for span in served] == [True, False]
        proxied = [span.attributes["http.status_code"] for span in trace.spans if span.service == GATEWAY]
        assert proxied == (["200", "503", "200"] if mesh.provider.current else ["200"])


def test_retries_of_a_sidecar(mesh):
    """The service makes one call; the attempts of its sidecar are branches below it."""
    answer = mesh.send("GET", f"/through/flaky/{new_id()}")
    assert answer.json() == 200
    held(mesh, answer.headers[TRACE_HEADER], [*LOGIN, *LOGIN[-2:]])


def test_timeout_of_a_proxy(mesh):
    """The client receives a 504, and every attempt is in one tree."""
    answer = mesh.send("GET", f"/through/hung/{new_id()}")
    assert answer.json() == 504
    trace = held(mesh, answer.headers[TRACE_HEADER], [*LOGIN, *LOGIN[-2:], *LOGIN[-2:]])
    (call,) = [span for span in trace.spans if span.service == AUTH and span.name == "GET"]
    assert call.attributes["http.response.status_code"] == 504
    assert call.is_error


def test_attributes_of_the_proxies_spans(mesh):
    """Istiod's tags name the workload; a long path is truncated, the service's span has it whole."""
    path = f"/api/v1/characters/{new_id()}"
    query = "&".join(["token=secret", *(f"page={number}" for number in range(60))])
    trace = held(mesh, mesh.send("GET", f"{path}?{query}").headers[TRACE_HEADER], LOGIN[:2])
    *proxies, service = [span for _, span in trace.walk()]
    for proxy in proxies:
        name, _, namespace = proxy.service.partition(".")
        told = {key: proxy.attributes[f"istio.{key}"] for key in ("canonical_service", "namespace")}
        assert told == {"canonical_service": name, "namespace": namespace}
        assert proxy.attributes["component"] == "proxy"
    gateway, *_, sidecar = proxies
    for proxy in (gateway, sidecar):
        url = proxy.attributes["http.url"]
        assert f"{path}?token=secret" in url  # Envoy masks nothing
        assert not url.endswith("page=59")
    assert service.attributes["url.query"] == query.replace("secret", "REDACTED")
    assert not [key for key in service.attributes if key.startswith("istio.")]


def test_gateway_before_istio_1_28(backend):
    """With the OpenTelemetry provider, too, attempts are below the gateway's only span."""
    with running_mesh(replace(PROVIDERS["OpenTelemetry"], current=False), backend) as mesh:
        trace = held(mesh, mesh.log_in(), LOGIN)
        assert [span.service for span in trace.spans].count(GATEWAY) == 1
        answer = mesh.send("GET", f"/flaky/{new_id()}")
        held(mesh, answer.headers[TRACE_HEADER], LOGIN[:2], LOGIN[:2])
