"""The services of `examples/compose` as processes: each request is one tree, whatever the client sends."""

from __future__ import annotations

import httpx
import pytest

from eco2_tracing.testing import b3_headers, traceparent_headers
from tests.repository.sources import ROOT
from tests.support.compose import composed_with_store
from tests.support.jaeger import wait_for, wait_for_trace
from tests.support.proxies import json_lines
from tests.support.trees import assert_shown, drawn

PAGE = "examples/compose/README.md"
SPANS = 10
ONE, OTHER, CALLER = "1" * 32, "2" * 32, "c" * 16
# By name: what a client sends, and the trace id that the gateway continues.
CLIENTS = {
    "traceparent": (traceparent_headers("a" * 32, CALLER), "a" * 32),
    "X-B3-*": (b3_headers("b" * 32, CALLER), "b" * 32),
    "both, of other traces": ({**b3_headers(OTHER, CALLER), **traceparent_headers(ONE, CALLER)}, OTHER),
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """The running services, and the store of their spans."""
    options = {"folder": tmp_path_factory.mktemp("compose"), "code": ROOT / "examples"}
    with composed_with_store(ROOT / "examples" / "compose" / "compose.yaml", **options) as running:
        yield running


def log_in(running, headers=None):
    """Send a login to the gateway; return its trace id."""
    url = running.url("gateway", 8080)
    with httpx.Client(trust_env=False, timeout=20, headers=headers) as client:
        answer = client.post(f"{url}/api/v1/auth/login", json={"user_id": "mina"})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-trace-id"]


def test_login_is_one_tree(mesh):
    """Gateway, sidecars and services are one tree with one root, and the README shows it."""
    running, store = mesh
    trace = wait_for_trace(store, log_in(running), SPANS)
    assert len(trace.roots) == 1
    assert trace.is_one_tree
    assert_shown(trace, PAGE)


@pytest.mark.parametrize("client", CLIENTS)
def test_trace_of_a_client_is_continued(mesh, client):
    """The client's ids apply at every hop; of two traces, B3's is continued."""
    running, store = mesh
    headers, continued = CLIENTS[client]
    assert log_in(running, headers) == continued
    trace = wait_for_trace(store, continued, SPANS)
    assert trace.is_one_tree
    assert [top.parent_span_id for top in trace.tops] == [CALLER]
    assert drawn(trace) == drawn(wait_for_trace(store, log_in(running), SPANS))


def test_access_logs_have_the_trace_id(mesh):
    """Each listener logs a line, with the trace id of the services' spans and one request id."""
    running, _ = mesh
    trace_id = log_in(running)

    def lines():
        proxies = ("gateway", "auth-sidecar", "character-sidecar")
        read = [line for name in proxies for line in json_lines(running.children[name])]
        return [line for line in read if line["trace.id"] == trace_id]

    found = wait_for(lambda: len(lines()) == 4 and lines())
    assert len({line["http.request.id"] for line in found}) == 1
