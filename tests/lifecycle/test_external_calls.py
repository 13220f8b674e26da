"""External tracer providers: one client span per call, deferred decisions by their sampler, one log line."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode
from starlette.testclient import TestClient

from eco2_tracing import configure_tracing, instrument_app, instrument_httpx
from eco2_tracing._instrumentation.client.httpx import _watch
from eco2_tracing.testing import TRACE_ID, CapturedSpans, b3_headers
from tests.lifecycle.servers import environment, serving

DEFERRED = {name: value for name, value in b3_headers().items() if name.lower() != "x-b3-sampled"}
PLANTED = "password=planted"


@pytest.fixture
def install(monkeypatch):
    """Install a provider as an application does; return its exporter."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    providers = []

    def install(sampler=None):
        exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        providers.append(provider)
        return exporter

    yield install
    for provider in providers:
        provider.shutdown()


class Stock:
    """A server that records requests, and an application that calls it."""

    def __init__(self, *, is_async=True):
        self.sent = []
        transport = httpx.MockTransport(self._answer)
        self.app = FastAPI()

        @self.app.get("/call/{path}")
        async def call(path: str) -> int:
            url = f"http://stock/{path}?token=planted"
            if is_async:
                async with httpx.AsyncClient(transport=transport) as client:
                    return (await client.get(url)).status_code
            with httpx.Client(transport=transport) as client:
                return client.get(url).status_code

        instrument_app(self.app)

    def _answer(self, request):
        self.sent.append(request.headers)
        if request.url.path == "/refuses":
            raise httpx.ConnectError(PLANTED)
        return httpx.Response(404 if request.url.path == "/missing" else 200, headers={"x-reply": "yes"})

    def call(self, path, headers=None):
        """Ask the application to call."""
        client = TestClient(self.app, raise_server_exceptions=False)
        return client.get(f"/call/{path}", headers=b3_headers() if headers is None else headers)


def lines(caplog):
    """Log lines of the library."""
    return [record.getMessage() for record in caplog.records if record.name == "eco2_tracing"]


def by_kind(exporter, kind):
    """The spans of a kind."""
    return [span for span in exporter.get_finished_spans() if span.kind is kind]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_is_one_client_span_of_theirs(install, monkeypatch, is_async):
    """The client span is a child of the server span, has stable attributes and captured headers, and is injected."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", "x-b3-traceid,accept")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE", "x-reply")
    exporter = install()
    configure_tracing("orders")
    stock = Stock(is_async=is_async)
    assert stock.call("one").json() == 200
    (call,) = by_kind(exporter, SpanKind.CLIENT)
    (server,) = by_kind(exporter, SpanKind.SERVER)
    assert call.name == "GET"
    assert call.instrumentation_scope.name == "eco2_tracing.httpx"
    assert call.parent.span_id == server.context.span_id
    assert dict(call.attributes) == {
        "http.request.method": "GET",
        "http.request.header.accept": ("*/*",),
        "http.response.header.x-reply": ("yes",),
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "server.address": "stock",
        "network.peer.address": "stock",
        "url.full": "http://stock/one?token=REDACTED",
    }
    (sent,) = stock.sent
    assert (sent["x-b3-traceid"], sent["x-b3-spanid"]) == (TRACE_ID, f"{call.context.span_id:016x}")


@pytest.mark.parametrize(
    ("path", "status", "error"), [("missing", 200, "404"), ("refuses", 500, "ConnectError")]
)
def test_calls_that_fail(install, path, status, error):
    """Failed calls are errors, and their messages are redacted."""
    exporter = install()
    configure_tracing("orders")
    assert Stock().call(path).status_code == status
    (call,) = by_kind(exporter, SpanKind.CLIENT)
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["error.type"] == error
    assert "planted" not in call.to_json()


def test_a_call_that_is_given_up(install):
    """The span of a cancelled call ends without an error."""
    exporter = install()
    configure_tracing("orders")

    def interrupt(request):
        raise KeyboardInterrupt

    with httpx.Client(transport=httpx.MockTransport(interrupt)) as client, pytest.raises(KeyboardInterrupt):
        client.get("http://stock/")
    (call,) = exporter.get_finished_spans()
    assert call.status.status_code is StatusCode.UNSET


def test_calls_that_are_excluded(install, monkeypatch):
    """Excluded calls have no span, and the request's context is injected."""
    monkeypatch.setenv("OTEL_PYTHON_HTTPX_EXCLUDED_URLS", "stock")
    exporter = install()
    configure_tracing("orders")
    stock = Stock()
    stock.call("one")
    (server,) = exporter.get_finished_spans()
    assert stock.sent[0]["x-b3-spanid"] == f"{server.context.span_id:016x}"


def test_a_call_whose_headers_cannot_be_written(install, monkeypatch, caplog):
    """The call is sent and has a span."""
    exporter = install()
    configure_tracing("orders")
    caplog.clear()
    monkeypatch.setattr(
        "eco2_tracing._instrumentation.client.attempts.inject_headers", lambda *_: 1 / 0, raising=True
    )
    assert Stock().call("one").json() == 200
    assert len(by_kind(exporter, SpanKind.CLIENT)) == 1
    assert len(lines(caplog)) == 1


@pytest.mark.parametrize(
    ("sampler", "sampled"),
    [
        (ParentBased(ALWAYS_ON), True),
        (ParentBased(ALWAYS_OFF), False),
        (ALWAYS_ON, True),
        (TraceIdRatioBased(0.0), False),
    ],
)
def test_their_sampler_decides_what_a_caller_left_open(install, sampler, sampled):
    """A deferred B3 decision is taken as for a root, in the caller's trace, and sent on."""
    exporter = install(sampler)
    configure_tracing("orders")
    stock = Stock()
    stock.call("one", DEFERRED)
    (sent,) = stock.sent
    assert (sent["x-b3-traceid"], sent["x-b3-sampled"]) == (TRACE_ID, "1" if sampled else "0")
    assert {span.context.trace_id for span in exporter.get_finished_spans()} == (
        {int(TRACE_ID, 16)} if sampled else set()
    )


@pytest.mark.parametrize("decision", [True, False])
def test_a_callers_own_decision_stays(install, decision):
    """The sampler is not asked if the caller has decided."""
    exporter = install(ParentBased(ALWAYS_OFF if decision else ALWAYS_ON))
    configure_tracing("orders")
    Stock().call("one", b3_headers(sampled=decision))
    assert len(exporter.get_finished_spans()) == (2 if decision else 0)


def test_contribs_server_under_their_provider(install):
    """Contexts that contrib's instrumentations extract have the decision too."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    exporter = install(ParentBased(ALWAYS_ON))
    configure_tracing("orders")
    TestClient(OpenTelemetryMiddleware(FastAPI())).get("/", headers=DEFERRED)
    assert {span.context.trace_id for span in by_kind(exporter, SpanKind.SERVER)} == {int(TRACE_ID, 16)}


class Broken(Sampler):
    """A sampler that raises at its first call."""

    def should_sample(self, parent_context, *arguments, **keywords):
        if not parent_context:
            raise RuntimeError("cannot")
        return ALWAYS_ON.should_sample(parent_context, *arguments, **keywords)

    def get_description(self):
        return "broken"


def test_a_sampler_that_fails(install, caplog):
    """The request is served, with one warning."""
    install(Broken())
    configure_tracing("orders")
    caplog.clear()
    assert Stock().call("one", DEFERRED).json() == 200
    assert len(lines(caplog)) == 1


def test_a_provider_without_a_sampler(monkeypatch):
    """A provider without a sampler is not asked, and the decision stays deferred."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    trace.set_tracer_provider(trace.NoOpTracerProvider())
    configure_tracing("orders")
    stock = Stock()
    assert stock.call("one", DEFERRED).json() == 200
    assert stock.sent[0]["x-b3-traceid"] == TRACE_ID


def test_what_is_not_used_is_told(install, caplog):
    """Processors and resource attributes belong to a provider of ours: the one line names them, as a warning."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    install()
    configure_tracing("orders", span_processors=[CapturedSpans()], resource_attributes={"team": "one"})
    (record,) = [record for record in caplog.records if record.name == "eco2_tracing"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("; not used: span_processors, resource_attributes")


@pytest.fixture
def instrumentor():
    """contrib's, off again after the test."""
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    instrumentor = HTTPXClientInstrumentor()
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def call_over_a_socket(captured, client=None):
    """Call a port where nobody listens: contrib's instrumentation stands in the transport."""
    with pytest.raises(httpx.ConnectError):
        (client or httpx.Client()).get("http://127.0.0.1:1/")
    return [span.scope for span in captured.find(kind=SpanKind.CLIENT)]


def test_contribs_httpx_after_ours(instrumentor, captured_spans, caplog):
    """Ours makes the one client span, for a single instrumented client too, with one log line."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    client = httpx.Client()
    instrumentor.instrument()
    instrumentor.instrument_client(client)
    assert call_over_a_socket(captured_spans, client) == ["eco2_tracing.httpx"]
    assert [line for line in lines(caplog) if "client spans" in line] == [
        "eco2-tracing is in charge of client spans: opentelemetry-instrumentation-httpx creates none"
    ]


def test_contribs_httpx_before_ours(instrumentor, monkeypatch, caplog):
    """Contrib's instrumentation makes the one client span, with one log line."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    caplog.set_level(logging.INFO, "eco2_tracing")
    instrumentor.instrument()
    captured = CapturedSpans()
    configure_tracing("orders", span_processors=[captured])
    assert call_over_a_socket(captured) == ["opentelemetry.instrumentation.httpx"]
    assert len([line for line in lines(caplog) if "client spans" in line]) == 1


def test_one_client_of_contribs_before_ours(instrumentor, monkeypatch):
    """Calls of that client stay with contrib; calls of other clients are ours."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    client = httpx.Client()
    instrumentor.instrument_client(client)
    captured = CapturedSpans()
    configure_tracing("orders", span_processors=[captured])
    assert call_over_a_socket(captured, client) == ["opentelemetry.instrumentation.httpx"]
    captured.clear()
    assert call_over_a_socket(captured) == ["eco2_tracing.httpx"]


def test_a_package_whose_parts_have_moved(caplog):
    """A contrib package without httpx2 gives no warning; one with a moved private name gives one."""
    _watch(ModuleType("older"))
    assert lines(caplog) == []
    newer = ModuleType("newer")
    newer.HTTPXClientInstrumentor = object
    _watch(newer)
    assert len(lines(caplog)) == 1


def test_contribs_httpx_alone(instrumentor):
    """Without our configuration, contrib's instrumentation works as usual."""
    instrument_httpx()
    instrumentor.instrument()
    assert hasattr(httpx.HTTPTransport.handle_request, "__wrapped__")


CALLING = """
import logging
import httpx
from fastapi import FastAPI
from eco2_tracing import configure_tracing, instrument_app

logging.basicConfig(level="INFO")
configure_tracing("calling")
app = FastAPI()
instrument_app(app)

@app.get("/calls/{item}")
async def work(item: int):
    try:
        async with httpx.AsyncClient() as client:
            await client.get("http://127.0.0.1:1/")
    except httpx.ConnectError:
        return item
"""


def test_the_opentelemetry_instrument_command(tmp_path, otlp_receiver):
    """An external instrumentation makes one server and one client span, with one log line."""
    pytest.importorskip("opentelemetry.distro", reason="opentelemetry-distro is not installed")
    (tmp_path / "calling.py").write_text(CALLING)
    instrument = Path(sys.executable).parent / "opentelemetry-instrument"
    command = [str(instrument), sys.executable, "-m", "uvicorn", "--app-dir", str(tmp_path), "calling:app"]
    environ = environment(
        otlp_receiver.http_endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_SERVICE_NAME="distro",
    )
    with serving([*command, "--port", "{port}"], tmp_path / "log", environ) as served:
        served.wait_for(served.answers)
        assert served.get("/calls/1", **DEFERRED)[0] == 200
        served.stop(signal.SIGTERM)
    log = (tmp_path / "log").read_text()
    (server,) = [s for s in otlp_receiver.spans if s.kind is SpanKind.SERVER and "calls" in s.name]
    (client,) = [s for s in otlp_receiver.spans if s.kind is SpanKind.CLIENT]
    assert (server.trace_id, client.parent_span_id) == (TRACE_ID, server.span_id)
    assert len([line for line in log.splitlines() if ":eco2_tracing:" in line]) == 1, log
    assert "opentelemetry-instrumentation-httpx in charge of client spans" in log
