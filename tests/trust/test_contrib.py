"""`ECO2_TRACING_TRUST_INBOUND=false` with contrib's server spans."""

from __future__ import annotations

import importlib
import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import baggage
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID, CapturedSpans, b3_headers

from .test_untrusting import EVERYTHING, FORCED


class ContribEdge:
    """An untrusting service in contrib mode, with a mounted application.

    Args:
        settings: Further settings.
    """

    def __init__(self, **settings):
        self.captured = CapturedSpans()
        eco2_tracing.configure_tracing(
            settings=eco2_tracing.TracingSettings(
                **{
                    "traces_exporter": "none",
                    "trust_inbound": False,
                    "instrumentation": "contrib",
                    **settings,
                }
            ),
            span_processors=[self.captured],
        )
        self.baggage = None
        self.sent = None
        self.apps = []
        app, inner = self._app(), self._app()
        app.mount("/inner", inner)
        for one in (app, inner):
            eco2_tracing.instrument_app(one)
        self.client = TestClient(app, raise_server_exceptions=False)

    def _app(self):
        app = FastAPI()

        @app.get("/health")
        @app.get("/work")
        def work(status: int = 200):
            self.baggage = dict(baggage.get_all())
            self.sent = {}
            inject(self.sent)
            logging.getLogger("edge").warning("at work")
            return 1 / 0 if status == 500 else None

        self.apps.append(app)
        return app

    def get(self, path="/work", headers=EVERYTHING, **params):
        """Send one request."""
        return self.client.get(path, headers=headers, params=params)


@pytest.fixture
def edge():
    """Create such a service; contrib's patches are undone after the test."""
    made = []

    def make(**settings):
        made.append(ContribEdge(**settings))
        return made[-1]

    yield make
    contrib = importlib.import_module("opentelemetry.instrumentation.fastapi").FastAPIInstrumentor
    for app in (app for one in made for app in one.apps):
        contrib.uninstrument_app(app)


def links(span):
    """The trace and span ids of a span's links."""
    return [(link.trace_id, link.span_id) for link in span.links]


@pytest.mark.parametrize("path", ["/work", "/inner/work"])
def test_trace_is_new_and_linked(edge, path):
    """With one link, also in a mounted application."""
    service = edge()
    service.get(path)
    span = service.captured.one(kind=SpanKind.SERVER)
    assert (span.trace_id != TRACE_ID, span.parent_span_id) == (True, None)
    assert links(span) == [(TRACE_ID, SPAN_ID)]
    assert not any(one.links for one in service.captured.spans if one.span_id != span.span_id)


def test_nothing_of_the_caller_is_propagated(edge):
    """Ids, debug, tracestate, baggage and request id are dropped."""
    service = edge()
    service.get()
    assert service.baggage == {}
    assert service.sent["x-b3-sampled"] == "1"
    assert TRACE_ID not in str(service.sent)
    assert not {"x-b3-flags", "baggage", "x-request-id"} & set(service.sent)
    assert "stranger" not in str(service.sent)


@pytest.mark.parametrize("headers", FORCED)
def test_only_the_head_sampler_decides(edge, headers):
    """A caller cannot force sampling, in any format."""
    service = edge(traces_sampler="parentbased_always_off")
    service.get(headers=headers)
    assert not service.captured.spans
    assert (service.sent["x-b3-sampled"], service.sent.get("x-b3-flags")) == ("0", None)


@pytest.mark.parametrize("headers", [{"b3": "0"}, b3_headers(sampled=False)])
def test_caller_cannot_prevent_sampling(edge, headers):
    """Neither by the head sampler nor by the tail sampler, whose spans are linked as well."""
    service = edge(traces_sampler="parentbased_always_off", error_sampling_rate=1.0)
    answer = service.get(headers=headers, status=500)
    assert answer.status_code == 500
    assert not {"server-timing", "traceresponse"} & set(answer.headers)
    span = service.captured.one(kind=SpanKind.SERVER)
    assert links(span) == ([(TRACE_ID, SPAN_ID)] if len(headers) > 1 else [])


def test_excluded_path_propagates_no_ids(edge):
    """They would be the caller's; a bare deny is injected."""
    service = edge()
    service.get("/health")
    assert service.sent == {"x-b3-sampled": "0"}
    assert not service.captured.spans


def test_trusting_service_has_no_links(edge):
    """It continues the trace."""
    service = edge(trust_inbound=True)
    service.get()
    span = service.captured.one(kind=SpanKind.SERVER)
    assert (span.trace_id, links(span)) == (TRACE_ID, [])
    assert service.baggage == {"role": "admin"}
