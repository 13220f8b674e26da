"""Metrics and logs through real collectors, and the trace beside them."""

from __future__ import annotations

import logging

import pytest

from eco2_tracing import configure_logging, flush_tracing
from tests.e2e.collector import COLLECTORS
from tests.signals.conftest import UNSAMPLED

PIPELINES = {
    "service": {
        "pipelines": {
            name: {"receivers": ["otlp"], "exporters": ["otlp_grpc"]} for name in ("metrics", "logs")
        }
    }
}


@pytest.fixture(params=list(COLLECTORS))
def endpoints(request, received):
    """The addresses of a collector in front of the receiver, by protocol."""
    kind = COLLECTORS[request.param]
    more = (PIPELINES,) if request.param == "otelcol" else ()
    with kind(received.grpc_endpoint, *more) as running:
        yield {"grpc": running.grpc, "http/protobuf": running.http}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_trace_its_log_and_its_exemplar(endpoints, protocol, configure, received, client):
    """They meet behind a real collector, which decodes and encodes everything anew."""
    configure_logging()
    configure(
        OTEL_EXPORTER_OTLP_ENDPOINT=endpoints[protocol],
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
    )
    trace_id = "5" * 32
    client.get("/boom", headers={**UNSAMPLED, "x-b3-traceid": trace_id})
    with pytest.raises(ZeroDivisionError):
        _fail()
    assert flush_tracing()
    (span,) = received.wait_until(received.spans)
    assert span.trace_id.hex() == trace_id
    ((found, point),) = received.wait_until(lambda: received.points("http.server.request.duration"))
    assert (found["http.route"], found["error.type"], point.count) == ("/boom", "ValueError", 1)
    (exemplar,) = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (span.trace_id, span.span_id)
    ((_, record, attributes),) = received.wait_until(
        lambda: [each for each in received.log_records() if each[0] == "shop"]
    )
    assert record.body.string_value == "failed"
    assert attributes["exception.type"] == "ZeroDivisionError"


def _fail() -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        logging.getLogger("shop").exception("failed")
        raise
