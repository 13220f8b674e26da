"""configure, flush, shutdown and status: repeated, disabled and in strict mode."""

from __future__ import annotations

import logging
import threading

import httpx2
import pytest
from fastapi import FastAPI
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from starlette.testclient import TestClient

from eco2_tracing import (
    TracingSettings,
    configure_tracing,
    current_trace_id,
    flush_tracing,
    instrument_app,
    shutdown_tracing,
    span,
    tracing_status,
)
from eco2_tracing._errors import ConfigurationError
from tests.export.receivers import eventually
from tests.support.servers import free_port

TRACE_ID = "463ac35c9f6413ad48485a3953bb6124"
SPAN_ID = "a2fb4a1d1a96d312"
B3 = {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID, "x-b3-sampled": "1"}

module_tracer = trace.get_tracer("module")
"""A tracer that was fetched before the configuration, as libraries do."""


@pytest.fixture
def to_receiver(monkeypatch, otlp_receiver):
    """Spans go to a receiver, and only on a flush."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_receiver.grpc_endpoint)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    return otlp_receiver


def ours() -> list[str]:
    """The names of this library's threads. One that ended its work is among them until Python has ended it."""
    return [
        thread.name for thread in threading.enumerate() if "eco2" in thread.name or "OtelBatch" in thread.name
    ]


def test_twice_is_once(to_receiver, caplog):
    """The second call changes nothing and logs one warning; the status is that of the first."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    assert configure_tracing("first") is True
    provider = trace.get_tracer_provider()
    said = len(caplog.records)
    assert configure_tracing("second", settings=TracingSettings(sdk_disabled=True)) is True
    assert trace.get_tracer_provider() is provider
    assert said <= 2
    (again,) = caplog.records[said:]
    assert again.levelname == "WARNING"
    assert "service_name='second' instead of 'first', settings" in again.getMessage()
    with span("one"):
        pass
    before = tracing_status()
    assert (before.enabled, before.spans_queued, before.spans_sent) == (True, 1, 0)
    assert flush_tracing() is True
    after = tracing_status()
    assert (after.spans_queued, after.spans_sent, after.last_export_error) == (0, 1, None)
    assert after.propagators == ("b3", "tracecontext", "baggage")
    assert after.endpoints
    assert to_receiver.spans[0].resource["service.name"] == "first"


def test_cycles(to_receiver):
    """After each shutdown no thread is left, spans flow again after each configuration, from old tracers as well."""
    app = FastAPI()
    instrument_app(app)

    @app.get("/work")
    async def work() -> None:
        with module_tracer.start_as_current_span("inside"):
            pass

    client = TestClient(app)
    for cycle in range(20):
        to_receiver.clear()
        configure_tracing(f"cycle {cycle}")
        assert client.get("/work").status_code == 200
        assert shutdown_tracing() is True
        assert sorted(span.name for span in to_receiver.spans) == ["GET /work", "inside"]
        assert {span.resource["service.name"] for span in to_receiver.spans} == {f"cycle {cycle}"}
        eventually(lambda: not ours())
        assert tracing_status().enabled is False
        assert client.get("/work").status_code == 200
    assert len(to_receiver.spans) == 2
    assert flush_tracing() is shutdown_tracing() is True


def test_flush_and_shutdown_are_truthful_and_bounded(monkeypatch):
    """Without a collector, flush and shutdown return False, and the lost span is counted."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    configure_tracing("x")
    with span("lost"):
        pass
    assert flush_tracing(0.2) is False
    status = tracing_status()
    assert status.spans_queued == 1
    assert status.last_export_error
    assert status.last_export_error_at.tzinfo is not None
    assert shutdown_tracing(0.2) is False


class Slow(SpanProcessor):
    """A processor of the application whose flush hangs until the test ends."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.released.wait(30)


class Failing(SpanProcessor):
    """A user's processor that raises."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise RuntimeError("told to")


@pytest.mark.parametrize("kind", [Slow, Failing])
def test_processors_of_users_neither_hang_nor_lie(kind, to_receiver):
    """Processors that hang or raise make a flush return False; our exporter still delivers."""
    processor = kind()
    configure_tracing("x", span_processors=[processor])
    with span("one"):
        pass
    assert flush_tracing(0.3) is False
    assert [span.name for span in to_receiver.spans] == ["one"]
    assert shutdown_tracing(0.3) is False
    if kind is Slow:
        processor.released.set()


class Bare:
    """A processor of the application without ``force_flush``."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def on_start(self, span, parent_context=None) -> None:
        """Nothing."""

    def on_end(self, span) -> None:
        self.ended.append(span.name)

    def shutdown(self) -> None:
        self.ended.append("shutdown")


def test_a_processor_without_a_flush(to_receiver):
    """A processor without ``force_flush`` is used and shut down."""
    processor = Bare()
    configure_tracing("x", span_processors=[processor])
    with span("one"):
        pass
    assert flush_tracing(5) is True
    assert shutdown_tracing(5) is True
    assert processor.ended == ["one", "shutdown"]


@pytest.mark.parametrize("variable", [("OTEL_SDK_DISABLED", "true"), ("OTEL_ENABLED", "false")])
def test_disabled(variable, monkeypatch):
    """Disabled tracing has no span, thread or provider; headers are propagated, and the caller's ids are current."""
    monkeypatch.setenv(*variable)
    sent = []

    def answer(request):
        sent.append({name: value for name, value in request.headers.items() if name.startswith("x-b3")})
        return httpx2.Response(200)

    app = FastAPI()

    @app.get("/sync")
    def sync() -> str | None:
        with httpx2.Client(transport=httpx2.MockTransport(answer)) as client:
            client.get("http://other/")
        return current_trace_id()

    @app.get("/async")
    async def asynchronous() -> str | None:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
            await client.get("http://other/")
        return current_trace_id()

    before = set(threading.enumerate())
    assert configure_tracing("x") is False
    instrument_app(app)
    client = TestClient(app)
    assert client.get("/sync", headers=B3).json() == TRACE_ID
    assert client.get("/async", headers=B3).json() == TRACE_ID
    assert sent == [B3, B3]
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)
    assert not [thread for thread in set(threading.enumerate()) - before if "eco2" in thread.name]
    assert tracing_status().enabled is False
    assert tracing_status().sampler == "none"
    assert flush_tracing() is shutdown_tracing() is True


def test_strict_mode_installs_nothing(monkeypatch):
    """One error lists every problem; provider, propagator and status are as before."""
    monkeypatch.setenv("ECO2_TRACING_STRICT", "true")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "nonsense")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "soon")
    before = propagate.get_global_textmap()
    with pytest.raises(ConfigurationError) as raised:
        configure_tracing("x")
    assert "OTEL_TRACES_SAMPLER" in str(raised.value)
    assert "OTEL_BSP_SCHEDULE_DELAY" in str(raised.value)
    assert not isinstance(trace.get_tracer_provider(), TracerProvider)
    assert propagate.get_global_textmap() is before
    assert tracing_status().enabled is False
    assert ours() == []


def test_a_failure_of_our_own_does_not_stop_the_service(monkeypatch, caplog):
    """An unexpected error is logged, and the service starts without tracing."""
    monkeypatch.setattr("eco2_tracing._lifecycle.tracing.build_resource", lambda *_: 1 / 0)
    assert configure_tracing("x") is False
    assert "configure_tracing" in caplog.text


@pytest.mark.parametrize(
    ("exporters", "endpoints"), [("none", 0), ("console", 1), ("otlp,console", 2), ("otlp,nonsense", 1)]
)
def test_exporters(exporters, endpoints, to_receiver, monkeypatch, capsys):
    """Each named exporter gets every span; one that is not installed is a warning."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporters)
    assert configure_tracing("x") is True
    with span("one"):
        pass
    assert flush_tracing() is True
    assert len(tracing_status().endpoints) == endpoints
    assert [span.name for span in to_receiver.spans] == (["one"] if "otlp" in exporters else [])
    assert ('"name": "one"' in capsys.readouterr().out) is ("console" in exporters)


def test_an_id_generator_by_name(monkeypatch, caplog):
    """An id generator that is not installed is a warning, and random ids are used."""
    monkeypatch.setenv("OTEL_PYTHON_ID_GENERATOR", "nonsense")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert configure_tracing("x") is True
    assert "OTEL_PYTHON_ID_GENERATOR" in caplog.text
