"""Values of untrusted callers are in no log line, span, call or response."""

from __future__ import annotations

import io
import json
import logging

import pytest

from eco2_tracing.logs import EcsFormatter
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers, traceparent_headers

from .test_untrusting import Edge

PLANTED = {
    **b3_headers(debug=True),
    **traceparent_headers(),
    "tracestate": "planted=state",
    "baggage": "planted.user=admin;planted=property,labels.planted=1",
    "x-request-id": "planted-request",
    "x-correlation-id": "planted-correlation",
}


@pytest.fixture
def lines():
    """The log output, at every level and by every logger."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EcsFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("path", ["/work", "/health"])
@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("externally", [False, True])
def test_planted_values_do_not_appear(lines, path, disabled, externally):
    """Traced, excluded or disabled: only the link has the caller's ids."""
    edge = Edge(sdk_disabled=disabled, response_header="x-trace-id", propagate_externally=externally)
    answer = edge.get(path, headers=PLANTED)
    edge.get(path, headers=PLANTED, status="500")
    attributes = [(span.name, span.attributes, span.trace_state, span.events) for span in edge.captured.spans]
    told = str([lines(), attributes, answer.headers, answer.text, edge.sent])
    assert "planted" not in told
    assert TRACE_ID not in told
    assert SPAN_ID not in told
    assert not any("baggage" in key or key.startswith("labels") for line in lines() for key in line)


def test_trusting_service_logs_no_baggage(lines):
    """It is propagated, but not a field of log lines or an attribute of spans."""
    edge = Edge(trust_inbound=True)
    edge.get(headers=PLANTED)
    assert "planted" in edge.sent[0]["baggage"]
    assert TRACE_ID in str(lines())
    assert "planted" not in str([lines(), [span.attributes for span in edge.captured.spans]])
