"""`ECO2_TRACING_TRUST_INBOUND=false`: a service at the edge, with untrusted callers."""

from __future__ import annotations

import io
import json
import logging

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import eco2_tracing
from eco2_tracing.logs import EcsFormatter
from eco2_tracing.testing import (
    SPAN_ID,
    TRACE_ID,
    CapturedSpans,
    OtlpReceiver,
    b3_headers,
    traceparent_headers,
)

EVERYTHING = {
    **b3_headers(debug=True),
    **traceparent_headers(),
    "tracestate": "stranger=1",
    "baggage": "role=admin",
    "x-request-id": "forged",
}
FORCED = [
    {"X-B3-Flags": "1"},
    {"X-B3-Sampled": "1"},
    {"b3": "1"},
    {"b3": "d"},
    b3_headers(debug=True),
    b3_headers(),
    {"b3": f"{TRACE_ID}-{SPAN_ID}-1"},
    traceparent_headers(),
]


class Edge:
    """An untrusting service with a handler that logs and calls.

    Args:
        settings: Further settings.
    """

    def __init__(self, **settings):
        self.captured = CapturedSpans()
        eco2_tracing.configure_tracing(
            settings=eco2_tracing.TracingSettings(
                **{"traces_exporter": "none", "trust_inbound": False, **settings}
            ),
            span_processors=[self.captured],
        )
        self.sent = []
        self.copied = {}
        self.baggage = None
        app = FastAPI()

        @app.get("/work")
        def work(status: int = 200):
            logging.getLogger("edge").warning("at work")
            self.baggage = dict(baggage.get_all())
            self._call()
            return self._answer(status)

        app.get("/health")(self._call)
        eco2_tracing.instrument_app(app)
        self.client = TestClient(app, raise_server_exceptions=False)

    def _call(self):
        def answer(request):
            self.sent.append(request.headers)
            return httpx2.Response(200)

        with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
            client.get("http://character-api/", headers=self.copied)

    def _answer(self, status):
        if status == 500:
            raise ValueError("no such luck")

    def get(self, path="/work", headers=EVERYTHING, **params):
        """Send one request."""
        return self.client.get(path, headers=headers, params=params)


def test_service_begins_a_new_trace_linked_to_the_callers():
    """The caller's trace id can still be found by the link."""
    edge = Edge()
    edge.get()
    span = edge.captured.one(kind=SpanKind.SERVER)
    assert span.trace_id != TRACE_ID
    assert span.parent_span_id is None
    assert [(link.trace_id, link.span_id) for link in span.links] == [(TRACE_ID, SPAN_ID)]


def test_nothing_of_the_caller_is_propagated():
    """Ids, debug, tracestate, baggage and request id are dropped."""
    edge = Edge()
    edge.get()
    (sent,) = edge.sent
    span = edge.captured.one(kind=SpanKind.CLIENT)
    assert (sent["x-b3-traceid"], sent["x-b3-spanid"]) == (span.trace_id, span.span_id)
    assert sent["x-b3-sampled"] == "1"
    assert not {"x-b3-flags", "baggage", "x-request-id"} & set(sent)
    assert "stranger" not in sent.get("tracestate", "")
    assert edge.baggage == {}


@pytest.mark.parametrize("companions", [{"baggage": "role=admin"}, {"x-request-id": "forged"}])
@pytest.mark.parametrize("path", ["/work", "/health"])
def test_copied_headers_are_removed(companions, path):
    """A handler copies every header to a call; those of the caller are removed."""
    edge = Edge()
    edge.copied = {**companions, "x-mine": "1"}
    edge.get(path, headers=companions)
    edge.get(path, headers={**b3_headers(), **companions})
    assert [sent["x-mine"] for sent in edge.sent] == ["1", "1"]
    assert not any({*companions} & set(sent) for sent in edge.sent)


@pytest.mark.parametrize("headers", FORCED)
def test_only_the_head_sampler_decides(headers):
    """A caller cannot force sampling."""
    edge = Edge(traces_sampler="parentbased_always_off")
    edge.get(headers=headers)
    assert not edge.captured.spans
    assert edge.sent[0]["x-b3-sampled"] == "0"
    assert "x-b3-flags" not in edge.sent[0]


@pytest.mark.parametrize(
    "headers",
    [{"b3": "0"}, {"X-B3-Sampled": "0"}, b3_headers(sampled=False), traceparent_headers(sampled=False)],
)
def test_caller_cannot_prevent_sampling(headers):
    """Neither by the head sampler nor by the tail sampler."""
    edge = Edge()
    edge.get(headers=headers)
    assert len(edge.captured.spans) == 2
    eco2_tracing.shutdown_tracing(0)
    edge = Edge(traces_sampler="parentbased_always_off", error_sampling_rate=1.0)
    assert edge.get(headers=headers, status=500).status_code == 500
    assert len(edge.captured.spans) == 2


def test_kept_request_is_linked():
    """It was not sampled and is kept because it failed; the caller is not told."""
    edge = Edge(traces_sampler="parentbased_always_off", error_sampling_rate=1.0)
    answer = edge.get(headers=b3_headers(), status=500)
    assert answer.status_code == 500
    assert "server-timing" not in answer.headers
    span = edge.captured.one(kind=SpanKind.SERVER)
    assert [(link.trace_id, link.span_id) for link in span.links] == [(TRACE_ID, SPAN_ID)]
    assert span.attributes["eco2.sampling.reason"] == "error"


def test_trusting_service_tells_its_caller():
    """The same request in a mesh."""
    edge = Edge(trust_inbound=True, traces_sampler="parentbased_always_off", error_sampling_rate=1.0)
    answer = edge.get(headers=b3_headers(sampled=False), status=500)
    assert TRACE_ID in answer.headers["server-timing"]
    assert not edge.captured.one(kind=SpanKind.SERVER).links


def test_log_lines_have_the_new_trace_id():
    """A caller cannot choose the ids of log lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(EcsFormatter())
    logger = logging.getLogger("edge")
    logger.addHandler(handler)
    try:
        edge = Edge()
        edge.get()
    finally:
        logger.removeHandler(handler)
    assert json.loads(stream.getvalue())["trace.id"] == edge.captured.one(kind=SpanKind.SERVER).trace_id


def test_excluded_path_propagates_no_ids():
    """They would be the caller's; a bare deny is injected."""
    edge = Edge()
    edge.get("/health")
    assert edge.sent[0]["x-b3-sampled"] == "0"
    assert "x-b3-traceid" not in edge.sent[0]
    assert TRACE_ID not in str(edge.sent[0])
    assert not edge.captured.spans


def test_disabled_service_propagates_nothing():
    """It ignores the caller and has no trace of its own."""
    edge = Edge(sdk_disabled=True)
    edge.get()
    assert not {name for name in edge.sent[0] if "b3" in name or "trace" in name}


def test_other_propagators_are_not_trusted(tmp_path, monkeypatch):
    """Whatever `OTEL_PROPAGATORS` lists: the context of another package's is only linked."""
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_propagator]\nstranger = opentelemetry.propagators.b3:B3SingleFormat\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    edge = Edge(propagators="stranger,tracecontext")
    assert eco2_tracing.tracing_status().propagators == ("stranger", "tracecontext")
    edge.get(headers={"b3": f"{TRACE_ID}-{SPAN_ID}-1"})
    span = edge.captured.one(kind=SpanKind.SERVER)
    assert span.trace_id != TRACE_ID
    assert [link.trace_id for link in span.links] == [TRACE_ID]


def test_another_provider_links_too():
    """Its server spans have the link."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    Edge().get()
    (span,) = [one for one in exporter.get_finished_spans() if one.kind is SpanKind.SERVER]
    assert span.parent is None
    assert [link.context.trace_id for link in span.links] == [int(TRACE_ID, 16)]


@pytest.mark.parametrize("headers", FORCED)
def test_flood_is_exported_at_the_head_samplers_rate(headers):
    """A thousand requests that force sampling."""
    with OtlpReceiver() as receiver:
        edge = Edge(
            traces_exporter="otlp",
            exporter_otlp_endpoint=receiver.grpc_endpoint,
            traces_sampler="rate_limiting",
            traces_sampler_arg="2",
        )
        for _ in range(150):
            edge.get(headers=headers)
        assert eco2_tracing.flush_tracing(10)
        roots = receiver.find(kind=SpanKind.SERVER)
    assert len(roots) < 30
    assert all(root.trace_id != TRACE_ID for root in roots)
