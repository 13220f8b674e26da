"""Contrib mode: exclusions, lifespan, log fields, applying and removing instrumentations."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import types

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.propagate import inject

from eco2_tracing import configure_tracing, current_trace_id, instrument_app, span
from eco2_tracing._instrumentation.common.excluded import ExcludedPaths, excluded_regexes
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.contrib import switch
from eco2_tracing._settings import TracingSettings
from eco2_tracing.logs import bind_log_fields
from eco2_tracing.testing import SPAN_ID, TRACE_ID, CapturedSpans, b3_headers
from tests.differential.server_cases import ServerCase
from tests.support.recorded import provider, spans

__all__ = ["provider", "spans"]

PATHS = (
    "/",
    "/health",
    "/health/",
    "/health/db",
    "/healthy",
    "/health-records",
    "/api/health",
    "/api/v1/health/db",
    "/v2/health",
    "/v2.1/health",
    "/apis/health",
    "/patients/1/health",
    "/internal/debug",
    "/internal/debug/vars",
    "/internal/debugger",
    "/root/health",
    "/root/api/v1/health",
    "/root/internal/debug",
    "/rootless/health",
)


def serve(app, *cases):
    """Send requests directly to an application; return the statuses."""
    statuses = []

    async def one(case):
        messages = iter(case.messages())

        async def receive():
            return next(messages)

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await app(case.build_scope(), receive, send)

    for case in cases:
        asyncio.run(one(case))
    return statuses


@pytest.fixture
def app(provider):
    """An application; contrib's process-wide patches are undone after the test."""
    app = FastAPI()

    @app.get("/health")
    @app.get("/work")
    async def work():
        bind_log_fields(user_id=7)
        return {}

    yield app
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        fastapi = importlib.import_module("opentelemetry.instrumentation.fastapi")
        fastapi.FastAPIInstrumentor.uninstrument_app(app)


def get(path):
    """A GET request."""
    return ServerCase(path, path)


@pytest.mark.parametrize("path", PATHS)
def test_excludes_the_same_paths_as_lean_mode(path):
    """The regular expressions match the same paths."""
    entries = ("health", " ", "/internal/debug")
    regex = re.compile("|".join(excluded_regexes(entries, "/root/")))
    found = regex.search(f"https://shop.example:8080{path}") is not None
    assert found == ExcludedPaths(entries)(path, "/root")


@pytest.mark.parametrize("path", ["/", "/items/7"])
def test_excludes_everything_if_lean_mode_does(path):
    """The shortest prefix of all."""
    (regex,) = excluded_regexes(["/"])
    assert re.search(regex, f"http://shop.example{path}")
    assert ExcludedPaths(["/"])(path, "")


def test_excluded_words_are_escaped():
    """An entry is text, not a regular expression, and does not match the host."""
    (regex,) = excluded_regexes(["a.b"])
    assert re.search(regex, "http://a.b/a.b")
    assert not re.search(regex, "http://a.b/axb")


@pytest.mark.parametrize(
    ("settings", "argument", "traced"),
    [
        ({}, None, ["/work"]),
        ({}, "work", ["/health"]),
        ({}, ["work"], ["/health"]),
        ({"excluded_paths": ("work",)}, "health", ["/health"]),
        ({"excluded_urls": ("work", "nothing.*here")}, None, []),
    ],
)
def test_exclusions_by_source(app, spans, settings, argument, traced):
    """The environment replaces the argument, which replaces the default; contrib's list is added."""
    switch.instrument_app(app, TracingSettings(**settings), argument)
    serve(app, get("/work"), get("/health"))
    assert [s.attributes["url.path"] for s in spans.all if s.kind.name == "SERVER"] == traced


def test_instrumenting_twice_and_after_the_start(app, spans):
    """A second call changes nothing; an application that has served requests is traced afterwards."""
    assert serve(app, get("/work")) == [200]
    switch.instrument_app(app, TracingSettings())
    switch.instrument_app(app, TracingSettings())
    assert serve(app, get("/work")) == [200]
    ours = [s for s in spans.all if s.instrumentation_scope.name != "fastapi"]  # it traced the first one
    assert [s.name for s in ours if s.kind.name == "SERVER"] == ["GET /work"]


@pytest.mark.parametrize("configured", [True, False])
def test_lifespan_flushes(app, monkeypatch, configured):
    """The end of a lifespan flushes as in lean mode; without a configuration it does nothing."""
    flushed = []

    async def shutdown():
        flushed.append(True)

    engine = types.SimpleNamespace(startup=None, shutdown=shutdown)
    monkeypatch.setattr(current, "state", engine if configured else None)
    switch.instrument_app(app, TracingSettings())
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive():
        return next(messages)

    async def send(message):
        sent.append((message["type"], len(flushed)))

    asyncio.run(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send))
    assert sent == [("lifespan.startup.complete", 0), ("lifespan.shutdown.complete", int(configured))]


def test_httpx_is_instrumented_and_uninstrumented():
    """Each instrumentor is applied once and removed; a package that is not installed is skipped."""
    package = importlib.import_module("opentelemetry.instrumentation.httpx")
    httpx = importlib.import_module("httpx")
    try:
        names = switch.instrument_httpx()
        assert names == switch.instrument_httpx()
        assert "httpx" in names
        assert hasattr(httpx.HTTPTransport.handle_request, "__wrapped__")
    finally:
        switch.uninstrument_httpx()
    assert not package.HTTPXClientInstrumentor().is_instrumented_by_opentelemetry
    switch.uninstrument_httpx()


def test_httpx_not_installed(monkeypatch):
    """Nothing is logged."""
    monkeypatch.setattr(switch, "_CLIENTS", {"httpx3": "HTTPX3ClientInstrumentor"})
    assert switch.instrument_httpx() == ()


def test_httpx_without_an_instrumentor(monkeypatch, caplog):
    """An installed client without an instrumentor in an older package is one warning."""
    monkeypatch.setitem(sys.modules, "httpx3", types.ModuleType("httpx3"))
    monkeypatch.setattr(switch, "_CLIENTS", {"httpx3": "HTTPX3ClientInstrumentor"})
    assert switch.instrument_httpx() == ()
    assert [r.name for r in caplog.records] == ["eco2_tracing"]


def test_httpx_of_an_unsupported_version(monkeypatch):
    """It is not instrumented."""

    class Refusing:
        is_instrumented_by_opentelemetry = False

        def instrument(self):
            """Log a conflict and do nothing, as contrib does."""

    package = importlib.import_module("opentelemetry.instrumentation.httpx")
    monkeypatch.setattr(package, "Refusing", Refusing, raising=False)
    monkeypatch.setattr(switch, "_CLIENTS", {"httpx": "Refusing"})
    assert switch.instrument_httpx() == ()


@pytest.fixture
def undone():
    """Collects applications whose process-wide contrib patches are undone after the test."""
    apps = []
    yield apps.append
    for app in apps:
        importlib.import_module("opentelemetry.instrumentation.fastapi").FastAPIInstrumentor.uninstrument_app(
            app
        )


@pytest.mark.parametrize("headers", [b3_headers(), {}])
def test_excluded_requests_keep_the_callers_context(clean_tracing, undone, headers):
    """As in lean mode: no span, the caller's ids in logs, and calls as not sampled."""
    seen = CapturedSpans()
    settings = TracingSettings(instrumentation="contrib", traces_exporter=("none",))
    configure_tracing(settings=settings, span_processors=(seen,))
    app = FastAPI()

    @app.get("/health")
    def health():
        with span("check"):
            sent: dict[str, str] = {}
            inject(sent)
        return {"trace": current_trace_id(), "sampled": sent["x-b3-sampled"]}

    instrument_app(app)
    undone(app)
    answer = TestClient(app).get("/health", headers=headers).json()
    assert answer == {"trace": TRACE_ID if headers else None, "sampled": "0"}
    assert not seen.spans


def test_internal_failure_does_not_reach_excluded_requests(clean_tracing, undone, monkeypatch):
    """The request is served."""
    configure_tracing(settings=TracingSettings(instrumentation="contrib", traces_exporter=("none",)))
    app = FastAPI()
    app.add_api_route("/health", lambda: {"ok": True})
    instrument_app(app)
    undone(app)
    monkeypatch.setattr(current.state, "read", None)
    assert TestClient(app).get("/health").status_code == 200


SINGLE = ((b"b3", f"{TRACE_ID}-{SPAN_ID}-1".encode()),)


def test_suppressed_requests_are_not_traced(clean_tracing, app):
    """As in lean mode: neither a span nor the caller's context."""
    configure_tracing(settings=TracingSettings(instrumentation="contrib", traces_exporter=("none",)))
    seen = []
    app.add_api_route("/seen", lambda: seen.append(current_trace_id()))
    instrument_app(app)
    with suppress_instrumentation():
        assert serve(app, ServerCase("/seen", "/seen", headers=SINGLE)) == [200]
    assert seen == [None]
