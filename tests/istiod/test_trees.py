"""Gateway, sidecars and services are in one tree, configured by a real istiod from the kit's own files."""

from __future__ import annotations

import pytest

from eco2_tracing.testing import b3_headers, traceparent_headers
from tests.istiod.trees import LOGIN, login, shape
from tests.support.istio_mesh import AUTH, CHARACTER, GATEWAY
from tests.support.jaeger_client import wait_for, wait_for_trace
from tests.support.proxies import json_lines

STALE, CALLER = "5" * 32, "c" * 16


def test_login_is_one_tree(mesh):
    """It has one root, and the trace id is in every log line and access log of the request."""
    trace_id = mesh.log_in()
    trace = wait_for_trace(mesh.jaeger, trace_id, len(LOGIN))
    print(trace)
    assert trace.is_one_tree
    assert [span.parent_span_id for span in trace.tops] == [None]
    assert shape(trace) == login(mesh.provider), str(trace)
    for name in (GATEWAY, AUTH, CHARACTER):
        wait_for(lambda name=name: trace_id in {one.get("trace.id") for one in json_lines(mesh.proxy(name))})
    for name in (AUTH, CHARACTER):
        assert trace_id in {one.get("trace.id") for one in json_lines(mesh.cluster.workloads[name].process)}


STALE_HEADERS = {
    "traceparent": traceparent_headers(STALE, CALLER),
    "X-B3-*": b3_headers(STALE, CALLER),
    "b3": {"b3": f"{STALE}-{CALLER}-1"},
    "both, of two traces": {**b3_headers("6" * 32, CALLER), **traceparent_headers(STALE, CALLER)},
}


@pytest.mark.parametrize("kind", STALE_HEADERS)
def test_stale_headers_of_a_client(mesh, kind):
    """Gateway, sidecars and services take the same one, or none: the tree stays whole."""
    trace_id = mesh.log_in(STALE_HEADERS[kind])
    trace = wait_for(
        lambda: (t := mesh.jaeger.trace(trace_id)) and len(of_request(mesh, t)) >= len(LOGIN) and t
    )
    ours = of_request(mesh, trace)
    print(trace)
    assert shape(trace)[-len(LOGIN) :] == login(mesh.provider) or len(ours) == len(LOGIN), str(trace)
