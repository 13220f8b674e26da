"""`ECO2_TRACING_RESPONSE_HEADER`: the response of a request with a trace id carries it."""

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
    """An instrumented application with these settings, whose header is `x-trace-id`."""
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


def header_values(answer):
    """The values of the header."""
    return answer.headers.get_list("x-trace-id")


@pytest.mark.parametrize("mode", MODES)
def test_header_has_the_requests_trace_id(service, mode):
    """New or the caller's, sampled or not, also if the application failed."""
    client, captured = service(instrumentation=mode)
    for path in ("/work", "/error", "/shared", "/shared"):
        answer = client.get(path)
        assert header_values(answer) == [captured.find(name=f"GET {path}")[-1].trace_id]
    assert header_values(client.get("/work", headers=b3_headers(sampled=False))) == [TRACE_ID]


@pytest.mark.parametrize("mode", MODES)
def test_header_of_an_excluded_request(service, mode):
    """The caller's trace id, which is also in its log lines; absent without one."""
    client, captured = service(instrumentation=mode)
    answer = client.get("/health", headers=b3_headers())
    assert header_values(answer) == [TRACE_ID] == [answer.json()["trace"]]
    assert header_values(client.get("/health")) == []
    assert not captured.spans


@pytest.mark.parametrize("mode", MODES)
def test_tracing_disabled(service, mode):
    """The caller's trace id, which is also in log lines."""
    client, _ = service(instrumentation=mode, sdk_disabled=True)
    assert header_values(client.get("/work", headers=b3_headers())) == [TRACE_ID]
    assert header_values(client.get("/work")) == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("path", ["/work", "/health"])
def test_untrusted_caller_cannot_set_it(service, mode, path):
    """An untrusting service sends its own trace id, or none."""
    client, _ = service(instrumentation=mode, trust_inbound=False)
    answer = client.get(path, headers=b3_headers())
    assert header_values(answer) == [one for one in [answer.json()["trace"]] if one]
    assert TRACE_ID not in str(answer.headers)


@pytest.mark.parametrize("mode", MODES)
def test_off_by_default(service, mode):
    """Without the variable, and after a shutdown, no header is added."""
    client, _ = service(instrumentation=mode, response_header=None)
    assert header_values(client.get("/work", headers=b3_headers())) == []
    eco2_tracing.shutdown_tracing(0)
    assert header_values(client.get("/work", headers=b3_headers())) == []


def test_response_propagator_of_the_application_stays(service):
    """Contrib has one global response propagator; an earlier one is still called."""
    propagators = importlib.import_module("opentelemetry.instrumentation.propagators")
    propagators.set_global_response_propagator(propagators.TraceResponsePropagator())
    client, _ = service(instrumentation="contrib")
    service(instrumentation="contrib")
    answer = client.get("/work", headers=b3_headers())
    assert header_values(answer) == [TRACE_ID]
    assert TRACE_ID in answer.headers["traceresponse"]
