"""Behind a real Envoy every span of a request is in one tree, whichever headers the client sends."""

from __future__ import annotations

import httpx
import pytest
from tests.support.envoy import OPENTELEMETRY, ZIPKIN, ZIPKIN_WITH_W3C, access_log, start_mesh

from eco2_tracing._cli.envoy import GATEWAY
from eco2_tracing._cli.story import TRACE_HEADER
from eco2_tracing.testing import OtlpReceiver, b3_headers, traceparent_headers

W3C_FIRST = {"OTEL_PROPAGATORS": "tracecontext,b3,baggage"}
ONE, OTHER, CALLER = "1" * 32, "2" * 32, "c" * 16
STALE = {
    "traceparent": traceparent_headers(ONE, CALLER),
    "X-B3-*": b3_headers(ONE, CALLER),
    "both": {**b3_headers(OTHER, CALLER), **traceparent_headers(ONE, CALLER)},
}


def log_in(url, headers):
    """Send a request that goes through both services; the trace that the answer names."""
    login = f"{url}/api/v1/auth/login"
    answer = httpx.post(login, json={"user_id": "mina"}, headers=headers, trust_env=False, timeout=10)
    assert answer.status_code == 200
    return answer.headers[TRACE_HEADER]


def gateway_spans(count):
    """A condition: so many spans of the gateway have come."""
    return lambda spans: sum(span.service == GATEWAY for span in spans) >= count


@pytest.mark.parametrize(
    ("tracer", "variables", "continued"),
    [
        pytest.param(ZIPKIN, {}, {"X-B3-*": ONE, "both": OTHER}, id="Zipkin"),
        pytest.param(
            ZIPKIN_WITH_W3C, {}, {"traceparent": ONE, "X-B3-*": ONE, "both": OTHER}, id="Zipkin with W3C"
        ),
        pytest.param(OPENTELEMETRY, W3C_FIRST, {"traceparent": ONE, "both": ONE}, id="OpenTelemetry"),
    ],
)
def test_one_trace_one_tree(tracer, variables, continued):
    """Gateway and both services are in one tree: the client's where Envoy continues that, else a new one."""
    clients = {"none": {}, **STALE}
    with OtlpReceiver() as receiver:
        traces = {}
        with start_mesh(receiver, tracer, **variables) as mesh:
            for client, headers in clients.items():
                traces[client] = log_in(mesh.url, headers)
            receiver.wait_for(gateway_spans(len(clients)))
        # The services have ended: what they had is here.
        assert [line["trace_id"] for line in access_log(mesh.envoy)] == list(traces.values())
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


def test_a_gateway_that_does_not_sample():
    """Where the gateway decides against a trace, a request that goes well leaves no span."""
    with OtlpReceiver() as receiver:
        with start_mesh(receiver, ZIPKIN, sampling=0) as mesh:
            log_in(mesh.url, {})
        assert receiver.spans == ()
