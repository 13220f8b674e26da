"""Internal failures do not reach the application, and each is logged once."""

from __future__ import annotations

import logging
import signal

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags
from starlette.testclient import TestClient

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing, instrument_app, shutdown_tracing, span
from eco2_tracing._lifecycle import configure, libraries
from eco2_tracing._lifecycle.processes import TerminationHandler
from eco2_tracing.testing import CapturedSpans, b3_headers

NOWHERE = TracingSettings(traces_exporter="none")


def fail(*_, **__):
    """Raise an error."""
    raise RuntimeError("told to")


class Broken(SpanProcessor):
    """A processor of the application that raises."""

    on_start = on_end = fail


class Ending(list):
    """Links that shut tracing down when they are read, as another thread might."""

    def __iter__(self):
        shutdown_tracing(0.0)
        return iter(())


def test_a_span_that_begins_while_tracing_ends():
    """A span that is started during a shutdown is valid, and nothing is raised."""
    configure_tracing(settings=NOWHERE)
    started = trace.get_tracer("tests").start_span("late", links=Ending())
    started.end()
    assert started.get_span_context().is_valid


def test_a_broken_processor_keeps_no_span_from_the_next(caplog):
    """Each failure is logged with the processor's name."""
    captured = CapturedSpans()
    configure_tracing(settings=NOWHERE, span_processors=[Broken(), captured])
    with span("one"):
        pass
    assert [one.name for one in captured.spans] == ["one"]
    assert "Broken.on_start" in caplog.text
    assert "Broken.on_end" in caplog.text


def test_a_span_that_cannot_be_redacted_is_emptied(monkeypatch, caplog):
    """A span that cannot be redacted is exported without attributes, events and status description."""
    captured = CapturedSpans()
    configure_tracing(settings=NOWHERE, span_processors=[captured])
    monkeypatch.setattr("eco2_tracing._redaction.Redactor.attributes", fail)
    app = FastAPI()
    instrument_app(app)

    @app.get("/")
    async def root() -> None:
        with trace.get_tracer("library").start_as_current_span("library") as library:
            library.add_event("password=planted", {"password": "planted"})
            library.set_status(StatusCode.ERROR, "password=planted")
        trace.get_current_span().set_attribute("password", "planted")

    assert TestClient(app).get("/", headers=b3_headers()).status_code == 200
    assert {one.name for one in captured.spans} == {"GET /", "library"}
    assert "planted" not in repr(captured.spans)
    assert captured.one(name="library").status is StatusCode.ERROR
    assert "redacting a span" in caplog.text


@pytest.mark.parametrize(
    ("part", "undo", "told"),
    [
        ("instrument_libraries", False, "instrumentations on"),
        ("uninstrument_libraries", True, "instrumentations off"),
    ],
)
def test_instrumentations_that_fail_stop_nothing(part, undo, told, monkeypatch, caplog):
    """Tracing is configured and shut down without the failing instrumentations."""
    monkeypatch.setattr(libraries, part, fail)
    assert configure_tracing(settings=NOWHERE) is True
    if undo:
        assert shutdown_tracing() is True
    assert told in caplog.text


@pytest.mark.parametrize(
    ("step", "part", "told"),
    [
        (configure._at_exit, "shutdown_at_end", "the end of the process"),
        (configure._after_fork, "after_fork", "a fork"),
    ],
)
def test_ends_and_forks_that_fail_raise_nothing(step, part, told, monkeypatch, caplog):
    """Exceptions in hooks at exit and after a fork are logged and not raised."""
    configure_tracing(settings=NOWHERE)
    monkeypatch.setattr(f"eco2_tracing._lifecycle.tracing.Tracing.{part}", fail)
    step()
    assert told in caplog.text


def test_a_first_request_whose_preparation_fails_is_served(monkeypatch, caplog):
    """The first request is served and traced even if its preparation fails."""
    captured = CapturedSpans()
    configure_tracing(settings=NOWHERE, span_processors=[captured])
    monkeypatch.setattr("eco2_tracing._lifecycle.tracing.reassert_logging", fail)
    app = FastAPI()
    instrument_app(app)
    caller = "463ac35c9f6413ad48485a3953bb6124"
    assert TestClient(app).get("/", headers={"b3": f"{caller}-a2fb4a1d1a96d312-1"}).status_code == 404
    assert captured.one().trace_id == caller
    assert "the first request" in caplog.text


def test_an_api_with_other_parts_within(monkeypatch, caplog):
    """Shutdown works with an API that lacks the private names of the global provider."""
    configure_tracing(settings=NOWHERE)
    with monkeypatch.context() as later:
        later.delattr(trace, "_TRACER_PROVIDER_SET_ONCE")
        assert shutdown_tracing() is True
    trace._TRACER_PROVIDER_SET_ONCE._done = False
    assert "tracer provider back" in caplog.text


def test_a_child_under_somebody_elses_provider():
    """An external provider is left unchanged in a forked child."""
    theirs = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(theirs)
    configure_tracing(settings=NOWHERE)
    resource = theirs.resource
    configure._after_fork()
    assert trace.get_tracer_provider() is theirs
    assert theirs.resource is resource


@pytest.mark.parametrize("sampled", [True, False])
def test_a_context_of_another_caller_decides_for_itself(sampled):
    """A context extracted from a message decides for itself, whatever the request's decision."""
    captured = CapturedSpans()
    head = "parentbased_always_off" if sampled else "parentbased_always_on"
    configure_tracing(
        settings=TracingSettings(traces_exporter="none", traces_sampler=head), span_processors=[captured]
    )
    app = FastAPI()
    instrument_app(app)
    sender = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(sampled))

    @app.get("/")
    async def root() -> None:
        context = trace.set_span_in_context(NonRecordingSpan(sender))
        with trace.get_tracer("consumer").start_as_current_span("message", context):
            pass

    with TestClient(app) as client:
        client.get("/", headers=b3_headers(sampled=None))
    assert [one.name for one in captured.spans] == (["message"] if sampled else ["GET /"])


@pytest.fixture
def sigterm():
    """SIGTERM with its default handler; restored after the test."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield signal.SIGTERM
    signal.signal(signal.SIGTERM, before)


def test_the_signal_goes_on_to_whom_it_would_have_reached(sigterm, monkeypatch):
    """After the flush the default is back, and the signal is raised again."""
    done = []
    monkeypatch.setattr(
        signal, "raise_signal", lambda number: done.append((number, signal.getsignal(number)))
    )
    handler = TerminationHandler(lambda: done.append("flush"))
    handler.install()
    signal.getsignal(sigterm)(sigterm, None)
    assert done == ["flush", (sigterm, signal.SIG_DFL)]


def test_the_level_of_our_own_lines(caplog, monkeypatch):
    """``OTEL_LOG_LEVEL`` is that of the logger ``eco2_tracing`` alone."""
    caplog.set_level(logging.WARNING, "eco2_tracing")
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("OTEL_LOG_LEVEL", "info")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    eco2_tracing.configure_tracing("orders")
    assert logging.getLogger("eco2_tracing").level == logging.INFO
    assert "tracing orders to nowhere" in caplog.text
