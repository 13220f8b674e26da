"""Gateway, sidecars and services are in one tree, configured by a real istiod from the kit's own files."""

from __future__ import annotations

import uuid

import pytest

from eco2_tracing.testing import b3_headers, traceparent_headers
from tests.istiod.trees import LOGIN, is_on_the_page, login, shape
from tests.support.cluster import AUTH, CHARACTER
from tests.support.istio_mesh import GATEWAY
from tests.support.jaeger_client import wait_for, wait_for_trace
from tests.support.proxies import json_lines

CALLER = "c" * 16


def test_login_is_one_tree(mesh):
    """It has one root, and its trace id is in every log line and access log of the request."""
    trace_id = mesh.log_in()
    trace = wait_for_trace(mesh.jaeger, trace_id, len(LOGIN))
    assert shape(trace) == login(mesh.provider), str(trace)
    assert is_on_the_page(trace)
    for name in (GATEWAY, AUTH, CHARACTER):
        wait_for(lambda name=name: trace_id in {one.get("trace.id") for one in json_lines(mesh.proxy(name))})
    for name in (AUTH, CHARACTER):
        lines = json_lines(mesh.cluster.workloads[name].process)
        assert trace_id in {one.get("trace.id") for one in lines}


# By headers of a client: the providers whose proxies continue the first of the two traces.
CLIENTS = {
    "traceparent": (lambda one, other: traceparent_headers(one, CALLER), {"zipkin", "otel"}),
    "X-B3-*": (lambda one, other: b3_headers(one, CALLER), {"zipkin"}),
    "b3": (lambda one, other: {"b3": f"{one}-{CALLER}-1"}, {"zipkin"}),
    "traceparent beside X-B3-* of another trace": (
        lambda one, other: traceparent_headers(one, CALLER) | b3_headers(other, CALLER),
        {"otel"},
    ),
    "X-B3-* beside traceparent of another trace": (
        lambda one, other: b3_headers(one, CALLER) | traceparent_headers(other, CALLER),
        {"zipkin"},
    ),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_stale_headers_of_a_client(mesh, client):
    """Proxies and services choose the same trace, so the tree is whole."""
    make, continued = CLIENTS[client]
    one, other = uuid.uuid4().hex, uuid.uuid4().hex
    trace_id = mesh.log_in(make(one, other))
    trace = wait_for_trace(mesh.jaeger, trace_id, len(LOGIN))
    print(trace)
    assert shape(trace) == login(mesh.provider), str(trace)
    assert (trace_id == one) is (mesh.provider in continued), str(trace)
    assert [top.parent_span_id for top in trace.tops] == [CALLER if trace_id in {one, other} else None]
