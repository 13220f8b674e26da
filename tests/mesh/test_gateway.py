"""Behind a real Envoy, all spans of a request are in one tree, whatever headers the client sends."""

from __future__ import annotations

import httpx
import pytest
from tests.support.envoy import GATEWAY, start_mesh
from tests.support.proxies import PROVIDERS, json_lines

from eco2_tracing._cli.story import TRACE_HEADER
from eco2_tracing.testing import OtlpReceiver, b3_headers, traceparent_headers

ONE, OTHER, CALLER = "1" * 32, "2" * 32, "c" * 16
STALE = {
    "traceparent": traceparent_headers(ONE, CALLER),
    "X-B3-*": b3_headers(ONE, CALLER),
    "both": {**b3_headers(OTHER, CALLER), **traceparent_headers(ONE, CALLER)},
}


def log_in(url, headers):
    """Send a request through both services; return the trace id of the response header."""
    login = f"{url}/api/v1/auth/login"
    answer = httpx.post(login, json={"user_id": "mina"}, headers=headers, trust_env=False, timeout=10)
    assert answer.status_code == 200
    return answer.headers[TRACE_HEADER]


def gateway_spans(count):
    """A condition: at least `count` spans of the gateway have arrived."""
    return lambda spans: sum(span.service == GATEWAY for span in spans) >= count


@pytest.mark.parametrize(
    ("provider", "continued"),
    [
        ("Zipkin", {"X-B3-*": ONE, "both": OTHER}),
        ("Zipkin with W3C", {"traceparent": ONE, "X-B3-*": ONE, "both": OTHER}),
        ("OpenTelemetry", {"traceparent": ONE, "both": ONE}),
    ],
)
def test_gateway_and_services_share_one_tree(provider, continued):
    """The tree is part of the client's trace if Envoy continues that, else of a new trace."""
    clients = {"none": {}, **STALE}
    with OtlpReceiver() as receiver:
        traces = {}
        with start_mesh(receiver, PROVIDERS[provider]) as mesh:
            for client, headers in clients.items():
                traces[client] = log_in(mesh.url, headers)
            receiver.wait_for(gateway_spans(len(clients)))
        # The services have ended, so every span has arrived.
        assert [line["trace_id"] for line in json_lines(mesh.gateway)] == list(traces.values())
        for client, trace_id in traces.items():
            expected = continued.get(client)
            assert trace_id == expected or (expected is None and trace_id not in {ONE, OTHER}), client
        assert len(receiver.spans) == 6 * len(clients)
        for trace in (receiver.trace(trace_id) for trace_id in set(traces.values())):
            sharing = list(traces.values()).count(trace.trace_id)
            assert len(trace.spans) == 6 * sharing, str(trace)
            assert [top.service for top in trace.tops] == [GATEWAY] * sharing, str(trace)
            assert {top.parent_span_id for top in trace.tops} <= {None, CALLER}
            assert set(trace.services) == {GATEWAY, "auth-api", "character-api"}
            assert len(list(trace.walk())) == len(trace.spans), str(trace)


def test_gateway_does_not_sample():
    """A successful request that the gateway does not sample leaves no span."""
    with OtlpReceiver() as receiver:
        with start_mesh(receiver, PROVIDERS["Zipkin"], sampling=0) as mesh:
            log_in(mesh.url, {})
        assert receiver.spans == ()
