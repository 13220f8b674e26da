"""External tracer providers: one server span per request, and one log line about them."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.testclient import TestClient

from eco2_tracing import (
    configure_tracing,
    current_trace_id,
    flush_tracing,
    instrument_app,
    shutdown_tracing,
    tracing_status,
)
from tests.lifecycle.servers import APP, LIMIT_S, ROOT, environment, serving
from tests.support.hostile import FrozenError

TRACE_ID = "463ac35c9f6413ad48485a3953bb6124"
B3 = {"x-b3-traceid": TRACE_ID, "x-b3-spanid": "a2fb4a1d1a96d312", "x-b3-sampled": "1"}
STALE = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def make_app(**arguments) -> FastAPI:
    """An application that returns its trace id, and has a failing route."""
    app = FastAPI(**arguments)

    @app.get("/items/{item}")
    async def read(item: int) -> str | None:
        return current_trace_id()

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError("password=planted")

    @app.get("/unavailable", status_code=503)
    async def unavailable() -> None: ...

    return app


@pytest.fixture
def theirs(monkeypatch):
    """An external provider that is installed first; returns its exporter."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "theirs"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


def lines(caplog) -> list[str]:
    """Log lines of the library at INFO and above."""
    return [record.getMessage() for record in caplog.records if record.name == "eco2_tracing"]


def test_a_provider_that_was_there_stays(theirs, caplog):
    """An external provider records the one server span, is named in one line, and is never shut down."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    provider = trace.get_tracer_provider()
    assert configure_tracing(service_name="ours") is True
    assert len(lines(caplog)) == 1
    assert "opentelemetry.sdk.trace.TracerProvider" in lines(caplog)[0]
    hooked = []
    app = make_app()
    instrument_app(app, server_request_hook=lambda span, scope: hooked.append(scope["path"]))
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/items/1", headers={**B3, **STALE}).json() == TRACE_ID
        assert client.get("/health").status_code == 404
        assert client.get("/fail").status_code == 500
        assert client.get("/unavailable").status_code == 503
    found, failed, unavailable = [
        span for span in theirs.get_finished_spans() if span.kind is SpanKind.SERVER
    ]
    assert (found.name, found.attributes["http.route"]) == ("GET /items/{item}", "/items/{item}")
    assert found.attributes["http.response.status_code"] == 200
    assert (f"{found.context.trace_id:032x}", f"{found.parent.span_id:016x}") == (TRACE_ID, B3["x-b3-spanid"])
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["error.type"] == "RuntimeError"
    assert "planted" not in str(failed.to_json())
    assert unavailable.attributes["error.type"] == "503"
    assert hooked == ["/items/1", "/fail", "/unavailable"]
    assert tracing_status().enabled
    assert "TracerProvider" in tracing_status().sampler
    assert flush_tracing() is True
    assert shutdown_tracing() is True
    assert trace.get_tracer_provider() is provider
    with trace.get_tracer("app").start_as_current_span("after"):
        pass
    assert theirs.get_finished_spans()[-1].name == "after"


def test_a_hook_that_fails_harms_nothing(theirs):
    """The request is served and its span recorded."""
    configure_tracing()
    app = make_app()
    instrument_app(app, server_request_hook=lambda span, scope: 1 / 0)
    assert TestClient(app).get("/items/1").status_code == 200
    assert len(theirs.get_finished_spans()) == 1


def test_headers_of_choice_under_their_provider(theirs, monkeypatch):
    """Header capture and the response header work with an external provider."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "x-one")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", "content-type")
    monkeypatch.setenv("ECO2_TRACING_RESPONSE_HEADER", "x-trace-id")
    configure_tracing()
    app = make_app()
    instrument_app(app)
    answer = TestClient(app).get("/items/1", headers={"x-one": "1", **B3})
    assert answer.headers["x-trace-id"] == TRACE_ID
    (span,) = theirs.get_finished_spans()
    assert span.attributes["http.request.header.x-one"] == ("1",)
    assert span.attributes["http.response.header.content-type"] == ("application/json",)


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_contrib_instrumentor_on_the_same_app(order, captured_spans, caplog):
    """Whichever instrumentation was applied first makes the one server span."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    caplog.set_level(logging.INFO)
    app = make_app()
    if order == "before":
        FastAPIInstrumentor.instrument_app(app)
        instrument_app(app)
        assert [line for line in lines(caplog) if "in charge of server spans" in line]
    else:
        instrument_app(app)
        FastAPIInstrumentor.instrument_app(app)
    try:
        with TestClient(app) as client:
            assert client.get("/items/1", headers=B3).json() == TRACE_ID
    finally:
        if order == "before":
            FastAPIInstrumentor.uninstrument_app(app)
    servers = [span for span in captured_spans.spans if span.kind is SpanKind.SERVER]
    assert len(servers) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.skipif(find_spec("fastapi.telemetry") is None, reason="this FastAPI has no telemetry of its own")
def test_fastapis_own_telemetry_configured_by_hand(captured_spans, caplog):
    """Ours makes the server span, with a log line; the provider given to FastAPI gets none."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = make_app(telemetry={"tracer_provider": provider})
    instrument_app(app)
    assert TestClient(app).get("/items/1").status_code == 200
    assert len(captured_spans.spans) == 1
    assert exporter.get_finished_spans() == ()
    assert len([line for line in lines(caplog) if "telemetry" in line]) == 1


def test_httpx_that_contrib_traces_stays_contribs(theirs, caplog):
    """One client span per call, and a log line that names its instrumentation."""
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    caplog.set_level(logging.INFO, "eco2_tracing")
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument()
    try:
        configure_tracing()
        assert [line for line in lines(caplog) if "in charge of client spans" in line]
    finally:
        instrumentor.uninstrument()


def test_the_opentelemetry_instrument_command(tmp_path, otlp_receiver):
    """An external instrumentation keeps its provider and its server spans, one per request, in the mesh's trace."""
    pytest.importorskip("opentelemetry.distro", reason="opentelemetry-distro is not installed")
    instrument = Path(sys.executable).parent / "opentelemetry-instrument"
    command = [str(instrument), sys.executable, "-m", "uvicorn", APP, "--port", "{port}"]
    environ = environment(
        otlp_receiver.http_endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_SERVICE_NAME="distro",
    )
    with serving(command, tmp_path / "log", environ) as served:
        served.wait_for(served.answers)
        assert served.get(f"/work/{1}", **B3, **STALE)[0] == 200
        served.stop(signal.SIGTERM)
    servers = [span for span in otlp_receiver.spans if span.kind is SpanKind.SERVER and "work" in span.name]
    assert len(servers) == 1, (tmp_path / "log").read_text()
    assert servers[0].trace_id == TRACE_ID


def test_a_provider_that_the_environment_names_is_not_loaded():
    """``OTEL_PYTHON_TRACER_PROVIDER`` is the API's own; a bad one must not stop the service."""
    code = (
        "import eco2_tracing; assert eco2_tracing.configure_tracing('x')\n"
        "from fastapi import FastAPI; eco2_tracing.instrument_app(FastAPI())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment("http://127.0.0.1:9", OTEL_PYTHON_TRACER_PROVIDER="nonsense"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_odd_requests_under_their_provider(theirs):
    """A missing route, a missing response and a slotted exception give one span each, unchanged."""
    app = make_app()

    @app.get("/frozen")
    async def frozen() -> None:
        raise FrozenError("cold")

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    configure_tracing("x")
    instrument_app(app)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/nowhere").status_code == 404
        assert client.get("/frozen").status_code == 500
        with client.websocket_connect("/ws"):
            pass
    spans = {span.name: span for span in theirs.get_finished_spans() if span.kind is SpanKind.SERVER}
    assert spans.keys() == {"GET", "GET /frozen", "HTTP /ws"}
    assert spans["GET /frozen"].attributes["error.type"] == "FrozenError"


def test_their_span_that_cannot_be_ended_harms_nobody(theirs, caplog):
    """A failure after the response is recorded once."""
    app = make_app()
    configure_tracing("x")
    instrument_app(app)

    def end(self, end_time=None):
        raise RuntimeError("broken span")

    with TestClient(app) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Span, "end", end)
        assert client.get("/items/7").status_code == 200
    assert [line for line in lines(caplog) if "ending a server span" in line]


def test_contrib_applied_to_an_application_that_serves_already(monkeypatch):
    """An external provider stays, and is flushed at the end of the lifespan."""
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    app = make_app()
    FastAPIInstrumentor.instrument_app(app)
    try:
        with TestClient(app) as client:
            client.get("/items/7")
        configure_tracing("x")
        instrument_app(app)
        with TestClient(app) as client:
            assert client.get("/items/7", headers=B3).json() == TRACE_ID
    finally:
        FastAPIInstrumentor.uninstrument_app(app)


def test_cancellation_is_no_error(theirs):
    """A request that is cancelled has a span without an error."""
    app = make_app()

    @app.middleware("http")
    async def cancel(request, call_next):
        raise asyncio.CancelledError

    async def serve() -> None:
        scope = {"type": "http", "method": "GET", "path": "/items/7", "headers": [], "query_string": b""}

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, object]) -> None: ...

        await app(scope, receive, send)

    configure_tracing("shop")
    instrument_app(app)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(serve())
    (span,) = theirs.get_finished_spans()
    assert span.status.status_code is StatusCode.UNSET
