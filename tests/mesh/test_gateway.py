"""Behind a real Envoy every span of a request is in one tree, whichever headers the client sends."""

from __future__ import annotations

import httpx
import pytest

from eco2_tracing._cli._envoy import GATEWAY
from eco2_tracing.testing import (
    SPAN_ID,
    TRACE_ID,
    OtlpReceiver,
    b3_headers,
    traceparent_headers,
)
from tests.support.envoy import OPENTELEMETRY, ZIPKIN, ZIPKIN_WITH_W3C, access_log, start_mesh

W3C_FIRST = {"OTEL_PROPAGATORS": "tracecontext,b3,baggage"}
BOTH = {**b3_headers(), **traceparent_headers("f" * 32, "e" * 16)}


@pytest.mark.parametrize(
    ("tracer", "variables", "headers", "continued"),
    [
        pytest.param(ZIPKIN, {}, {}, False, id="zipkin"),
        pytest.param(ZIPKIN, {}, traceparent_headers(), False, id="zipkin, stale traceparent"),
        pytest.param(ZIPKIN, {}, b3_headers(), True, id="zipkin, client with B3"),
        pytest.param(ZIPKIN, {}, BOTH, True, id="zipkin, client with both, of two traces"),
        pytest.param(ZIPKIN_WITH_W3C, {}, traceparent_headers(), True, id="zipkin with W3C, traceparent"),
        pytest.param(OPENTELEMETRY, W3C_FIRST, b3_headers(), False, id="opentelemetry, stale X-B3"),
        pytest.param(OPENTELEMETRY, W3C_FIRST, traceparent_headers(), True, id="opentelemetry, traceparent"),
    ],
)
def test_one_trace_one_tree(tracer, variables, headers, continued):
    """Gateway and both services are in one tree; it is the client's where Envoy continues that."""
    with OtlpReceiver() as receiver:
        with start_mesh(receiver, tracer, **variables) as mesh:
            login = f"{mesh.url}/api/v1/auth/login"
            answer = httpx.post(login, json={"user_id": "mina"}, headers=headers, trust_env=False)
            receiver.wait_for(lambda spans: any(span.service == GATEWAY for span in spans))
        # The services have ended: what they had is here.
        (trace,) = receiver.traces()
        assert answer.status_code == 200
        assert trace.is_one_tree, str(trace)
        assert set(trace.services) == {GATEWAY, "auth-api", "character-api"}
        assert trace.tops[0].service == GATEWAY
        assert trace.tops[0].parent_span_id == (SPAN_ID if continued else None)
        assert (trace.trace_id == TRACE_ID) is continued
        assert len(trace.spans) == 6
        assert [line["trace_id"] for line in access_log(mesh.envoy)] == [trace.trace_id]


def test_a_gateway_that_does_not_sample():
    """Where the gateway decides against a trace, a request that goes well leaves no span."""
    with OtlpReceiver() as receiver:
        with start_mesh(receiver, ZIPKIN, sampling=0) as mesh:
            records = f"{mesh.url}/health-records"
            answer = httpx.get(records, trust_env=False)
        assert answer.status_code == 200
        assert receiver.spans == ()
