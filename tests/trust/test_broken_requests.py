"""An untrusted caller cannot force exports with requests that it breaks itself."""

from __future__ import annotations

import pytest
from benchmarks.reliability import broken
from benchmarks.reliability._row import Scale
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from opentelemetry.trace import StatusCode
from starlette.responses import PlainTextResponse

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing
from eco2_tracing.testing import CapturedSpans, b3_headers


def test_row_of_the_reliability_table():
    """Aborted uploads and downloads, dropped WebSockets and invalid JSON, at a ratio of 0: nothing is exported."""
    (row,) = broken.ROWS
    figure = row.measure("ours", Scale(full=False))
    assert figure.held, figure.text


def make_app() -> FastAPI:
    """An application that parses JSON itself and answers 500 if it cannot."""
    app = FastAPI()

    @app.post("/json")
    async def read(request: Request):
        return await request.json()

    @app.post("/fails")
    async def fails(request: Request):
        await request.json()
        raise ValueError("not the caller's doing")

    async def number(request):
        return PlainTextResponse("x")

    app.add_route("/numbers/{n:int}", number)
    return app


def asked(path: str, content: bytes, method: str = "POST", **settings) -> CapturedSpans:
    """Send one unsampled request."""
    app, captured = make_app(), CapturedSpans()
    made = TracingSettings(traces_exporter="none", **settings)
    configure_tracing("edge", settings=made, span_processors=[captured])
    eco2_tracing.instrument_app(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.request(method, path, content=content, headers=b3_headers(sampled=False))
    assert answer.status_code == 500
    return captured


UNTRUSTING = {"trust_inbound": False, "traces_sampler": "parentbased_traceidratio", "traces_sampler_arg": "0"}
BROKEN = [("POST", "/json", b'{"half'), ("POST", "/json", b"\xff"), ("GET", "/numbers/" + "1" * 5000, b"")]


@pytest.mark.parametrize(("method", "path", "content"), BROKEN)
def test_malformed_request_of_an_untrusted_caller_is_not_kept(method, path, content):
    """Although the application answers 500; from trusted callers it is an ordinary error."""
    assert asked(path, content, method, **UNTRUSTING).spans == ()


@pytest.mark.parametrize(("method", "path", "content"), BROKEN)
def test_malformed_request_of_a_trusted_caller_is_kept(method, path, content):
    """A response of 500 is an error."""
    (span,) = asked(path, content, method).spans
    assert (span.status, span.attributes["eco2.sampling.reason"]) == (StatusCode.ERROR, "error")


@pytest.mark.parametrize(("method", "path", "content"), BROKEN)
def test_malformed_request_that_is_sampled(method, path, content):
    """Its probability is the head sampler's, because such requests are not kept."""
    settings = {**UNTRUSTING, "traces_sampler_arg": "1"}
    (span,) = asked(path, content, method, **settings).spans
    assert (span.status, span.attributes["eco2.sampling.reason"]) == (StatusCode.ERROR, "head")
    assert len(span.events) == 1


def test_failure_of_the_application_is_kept_at_the_edge():
    """The request itself was well-formed."""
    (span,) = asked("/fails", b"{}", **UNTRUSTING).spans
    assert span.attributes["eco2.sampling.reason"] == "error"
