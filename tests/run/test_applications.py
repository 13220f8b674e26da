"""Applications below `eco2-tracing run`, in this process: each is instrumented once, and its code wins."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import asynccontextmanager, nullcontext
from types import ModuleType

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from eco2_tracing import TracingSettings, configure_tracing, instrument_app, shutdown_tracing, tracing_status
from eco2_tracing._instrumentation.libraries.tested import TESTED
from eco2_tracing._lifecycle.defaults import prepare_tracing
from eco2_tracing._run import applications, set_up, start
from eco2_tracing._run.applications import watch
from eco2_tracing.testing import CapturedSpans


@pytest.fixture
def shop(monkeypatch):
    """A class of applications that is watched, in the environment of the command."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    monkeypatch.setenv("_ECO2_TRACING_RUN_SERVICE", "shop")
    monkeypatch.delenv("_ECO2_TRACING_RUN_APP", raising=False)
    monkeypatch.setattr(set_up, "_done", set())

    class Shop(FastAPI):
        pass

    watch(Shop)
    yield Shop
    os.environ.pop("_ECO2_TRACING_RUN_APP", None)


@pytest.fixture
def spans():
    """Each span that ends."""
    return CapturedSpans()


def route(app):
    """Add a route to an application; return the application."""

    @app.get("/items/{item}")
    def item(item: int) -> int:
        return item

    return app


def server_spans(spans):
    """The routes of the server spans."""
    return [span.name for span in spans.find(kind=SpanKind.SERVER)]


@pytest.mark.parametrize("instrumentation", ["lean", "contrib"])
@pytest.mark.parametrize("has_lifespan", [True, False])
def test_every_application_has_one_span_a_request(shop, monkeypatch, instrumentation, has_lifespan):
    """Mounted applications too, with the whole route; without a line of code, and without a lifespan."""
    monkeypatch.setenv("ECO2_TRACING_INSTRUMENTATION", instrumentation)
    app, admin = route(shop()), route(shop())
    app.mount("/admin", admin)
    assert os.environ["_ECO2_TRACING_RUN_APP"] == str(os.getpid())
    assert not tracing_status().enabled
    exporter = InMemorySpanExporter()
    client = TestClient(app)
    if has_lifespan:
        client.__enter__()
    client.get("/unknown")  # the first request configures tracing
    configured = sys.modules["opentelemetry.trace"].get_tracer_provider()
    configured.add_span_processor(SimpleSpanProcessor(exporter))
    for path in ("/items/1", "/admin/items/2", "/admin/items/3"):
        assert client.get(path).status_code == 200
    if has_lifespan:
        client.__exit__()
    found = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.SERVER]
    mounted = "/admin/items/{item}" if instrumentation == "lean" else "/admin"
    assert [span.name for span in found] == ["GET /items/{item}", f"GET {mounted}", f"GET {mounted}"]
    assert {span.resource.attributes["service.name"] for span in found} == {"shop"}


@pytest.mark.parametrize("order", ["before", "after", "lifespan"])
def test_the_code_wins(shop, spans, caplog, order):
    """Arguments of `configure_tracing` and `instrument_app` count, wherever they are called; nothing is reported."""

    def configure():
        configure_tracing("auth", span_processors=[spans])

    @asynccontextmanager
    async def lifespan(_):
        if order == "lifespan":
            configure()
        yield

    if order == "before":
        configure()
    app = route(shop(lifespan=lifespan))
    if order == "after":
        configure()
    instrument_app(app, excluded_paths=["/private"])

    @app.get("/private")
    def private() -> int:
        return 1

    with TestClient(app) as client:
        for path in ("/items/1", "/private"):
            assert client.get(path).status_code == 200
    assert server_spans(spans) == ["GET /items/{item}"]
    assert {span.service for span in spans.spans} == {"auth"}
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("has_lifespan", [True, False])
def test_an_application_that_is_instrumented_by_contrib(shop, spans, has_lifespan):
    """The code has chosen FastAPIInstrumentor: it makes the one server span."""
    app = route(shop())
    FastAPIInstrumentor.instrument_app(app)
    configure_tracing(span_processors=[spans])
    client = TestClient(app)
    with client if has_lifespan else nullcontext():
        for _ in range(2):
            assert client.get("/items/1").status_code == 200
    assert server_spans(spans) == ["GET /items/{item}"] * 2
    assert {span.scope for span in spans.find(kind=SpanKind.SERVER)} == {
        "opentelemetry.instrumentation.fastapi"
    }


def test_a_name_that_nobody_gives(shop, spans):
    """The code configures tracing, and says no name; the environment's name is before all others."""
    configure_tracing(span_processors=[spans])
    with TestClient(route(shop())) as client:
        client.get("/items/1")
    assert {span.service for span in spans.spans} == {"shop"}


@pytest.mark.parametrize(("announced", "count"), [(None, 1), ("1", 0)])
def test_one_start_up_line(shop, monkeypatch, caplog, announced, count):
    """Of the process, or of the command on a terminal."""
    if announced:
        monkeypatch.setenv("_ECO2_TRACING_RUN_ANNOUNCED", announced)
    caplog.set_level(logging.INFO, "eco2_tracing")
    for app in (route(shop()), route(shop())):
        with TestClient(app) as client:
            client.get("/items/1")
    assert [record.message for record in caplog.records].count("") == 0
    assert sum("tracing shop to" in record.message for record in caplog.records) == count
    shutdown_tracing()
    configure_tracing("auth")
    assert "tracing auth to" in caplog.text


def test_an_application_that_cannot_be_watched(shop, monkeypatch, caplog):
    """It is made and served all the same; one line says why it has no spans."""
    monkeypatch.setattr(applications, "_defer", lambda app: 1 / 0)
    with TestClient(route(shop())) as client:
        assert client.get("/items/1").status_code == 200
    assert "an application below eco2-tracing run" in caplog.text


def test_libraries_are_instrumented_when_fastapi_is_imported(monkeypatch):
    """Once; and not while the application imports this library, whose modules are incomplete then."""
    monkeypatch.setattr(set_up, "_done", set())
    called = []
    monkeypatch.setattr("eco2_tracing._lifecycle.defaults.prepare_tracing", lambda: called.append(True))
    with monkeypatch.context() as incomplete:
        incomplete.setitem(sys.modules, set_up._LIFECYCLE, ModuleType("incomplete"))
        start._fastapi_imported(incomplete)
        set_up.set_all_up()
    assert called == []
    start._fastapi_imported(start)
    start._fastapi_imported(start)
    assert called == [True]


def test_a_job_without_an_application(shop, monkeypatch, spans, caplog):
    """Tracing is configured when it imports a traced library; not in a process that has imported a server."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    start._library_imported(start)
    assert not tracing_status().enabled
    monkeypatch.setenv("_ECO2_TRACING_RUN_PROCESS", str(os.getpid()))
    start._library_imported(start)
    assert tracing_status().enabled
    assert "tracing shop to" not in caplog.text
    with TestClient(route(shop())) as client:
        client.get("/items/1")
    assert "tracing shop to" in caplog.text
    start._server_imported(start)
    assert "_ECO2_TRACING_RUN_PROCESS" not in os.environ


def test_the_libraries_of_a_job():
    """Every library that is traced, and httpx."""
    assert {each.watched for each in TESTED} | {"httpx", "httpx2", "eco2_tracing._spans.manual"} == set(
        start._LIBRARIES
    )


def test_a_wrong_environment_is_reported_by_configure_tracing_alone(monkeypatch):
    """In strict mode the settings raise; `configure_tracing` raises the same again."""
    monkeypatch.setenv("ECO2_TRACING_STRICT", "true")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "many")
    prepare_tracing()


def test_settings_in_code_are_before_those_of_the_environment(monkeypatch):
    """What was instrumented by the environment is instrumented again; with no settings in code it stays."""
    undone = []
    monkeypatch.setattr("eco2_tracing._lifecycle.configure.uninstrument_by", undone.append)
    for settings in (None, TracingSettings(traces_exporter="none")):
        prepare_tracing()
        configure_tracing("shop", settings=settings)
        prepare_tracing()  # configured already: it does nothing
        shutdown_tracing()
    assert len(undone) == 3  # at each shutdown, and before the second configuration


def test_the_hooks_of_a_process(monkeypatch):
    """Imports are watched from the start; the class of applications is watched once it exists."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = list(sys.meta_path)
    for name in [*start._SERVERS, *start._LIBRARIES, "fastapi", "fastapi.applications"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    for process in ("1", str(os.getpid())):
        monkeypatch.setenv("_ECO2_TRACING_RUN_PROCESS", process)
        start.start()
    both, servers = sys.meta_path[:2]
    assert both._hooks.keys() - servers._hooks.keys() == set(start._LIBRARIES)
    assert len(sys.meta_path) == len(before) + 2

    class Applications:
        class FastAPI:
            pass

    start._applications_imported(Applications)
    assert Applications.FastAPI.__init__.__wrapped__ is object.__init__
