"""``ECO2_TRACING_RESPONSE_HEADER``: wherever a request has a trace id, its response tells it."""

from __future__ import annotations

import importlib

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

import eco2_tracing
from eco2_tracing.testing import TRACE_ID, CapturedSpans, b3_headers

MODES = ("lean", "contrib")
SHARED = Response("shared")


@pytest.fixture
def service():
    """Make an instrumented application with these settings, its header named ``x-trace-id``."""
    contrib = importlib.import_module("opentelemetry.instrumentation.fastapi").FastAPIInstrumentor
    propagators = importlib.import_module("opentelemetry.instrumentation.propagators")
    apps = []

    def make(**settings):
        captured = CapturedSpans()
        eco2_tracing.configure_tracing(
            settings=eco2_tracing.TracingSettings(
                **{"traces_exporter": "none", "response_header": "X-Trace-Id", **settings}
            ),
            span_processors=[captured],
        )
        app = FastAPI()
        app.get("/health")(lambda: {"trace": eco2_tracing.current_trace_id()})
        app.get("/work")(lambda: {"trace": eco2_tracing.current_trace_id()})
        app.get("/shared")(lambda: SHARED)
        app.get("/error")(lambda: 1 / 0)
        eco2_tracing.instrument_app(app)
        apps.append(app)
        return TestClient(app, raise_server_exceptions=False), captured

    yield make
    for app in apps:
        contrib.uninstrument_app(app)
    propagators.set_global_response_propagator(None)


def told(answer):
    """The values of the header."""
    return answer.headers.get_list("x-trace-id")


@pytest.mark.parametrize("mode", MODES)
def test_the_trace_of_a_request(service, mode):
    """Its own or the caller's, sampled or not, and where the application failed."""
    client, captured = service(instrumentation=mode)
    for path in ("/work", "/error", "/shared", "/shared"):
        answer = client.get(path)
        assert told(answer) == [captured.find(name=f"GET {path}")[-1].trace_id]
    assert told(client.get("/work", headers=b3_headers(sampled=False))) == [TRACE_ID]


@pytest.mark.parametrize("mode", MODES)
def test_an_excluded_request_has_the_callers(service, mode):
    """The one that its log lines carry; without a caller's there is none to tell."""
    client, captured = service(instrumentation=mode)
    answer = client.get("/health", headers=b3_headers())
    assert told(answer) == [TRACE_ID] == [answer.json()["trace"]]
    assert told(client.get("/health")) == []
    assert not captured.spans


@pytest.mark.parametrize("mode", MODES)
def test_tracing_disabled(service, mode):
    """The caller's trace, which log lines carry here too."""
    client, _ = service(instrumentation=mode, sdk_disabled=True)
    assert told(client.get("/work", headers=b3_headers())) == [TRACE_ID]
    assert told(client.get("/work")) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", ["/work", "/health"])
def test_a_stranger_cannot_write_it(service, mode, path):
    """An untrusting service tells its own trace, or nothing."""
    client, _ = service(instrumentation=mode, trust_inbound=False)
    answer = client.get(path, headers=b3_headers())
    assert told(answer) == [one for one in [answer.json()["trace"]] if one]
    assert TRACE_ID not in str(answer.headers)


@pytest.mark.parametrize("mode", MODES)
def test_off_unless_named(service, mode):
    """Nothing is added without the variable, nor after a shutdown."""
    client, _ = service(instrumentation=mode, response_header=None)
    assert told(client.get("/work", headers=b3_headers())) == []
    eco2_tracing.shutdown_tracing(0)
    assert told(client.get("/work", headers=b3_headers())) == []


def test_the_applications_own_response_propagator_stays(service):
    """Contrib has one place for it; who was there first still has its say."""
    propagators = importlib.import_module("opentelemetry.instrumentation.propagators")
    propagators.set_global_response_propagator(propagators.TraceResponsePropagator())
    client, _ = service(instrumentation="contrib")
    service(instrumentation="contrib")
    answer = client.get("/work", headers=b3_headers())
    assert told(answer) == [TRACE_ID]
    assert TRACE_ID in answer.headers["traceresponse"]
