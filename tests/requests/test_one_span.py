"""One server span a request, whatever else wraps the application, and none for an excluded request."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount

from eco2_tracing import TracingSettings, configure_tracing, instrument_app, span
from eco2_tracing._compat.contrib import is_served_by_contrib
from eco2_tracing.testing import SPAN_ID, TRACE_ID, CapturedSpans

starlettes = pytest.importorskip(
    "starlette.middleware.opentelemetry", reason="this Starlette has no middleware for OpenTelemetry"
).OpenTelemetryMiddleware
contribs = pytest.importorskip(
    "opentelemetry.instrumentation.asgi", reason="contrib is not installed"
).OpenTelemetryMiddleware
instrumentor = pytest.importorskip(
    "opentelemetry.instrumentation.fastapi", reason="contrib is not installed"
).FastAPIInstrumentor

QUIET = {"exclude_spans": ["send", "receive"]}
IDS = {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID}
CALLERS = ({}, {**IDS, "x-b3-sampled": "1"}, {**IDS, "x-b3-sampled": "0"})


def make_app() -> FastAPI:
    """An application with a mounted one, not instrumented."""
    app, mounted = FastAPI(), FastAPI()

    @app.get("/items/{item}")
    def item(item: str) -> str:
        return item

    @app.get("/boom")
    def boom() -> None:
        raise ValueError("no such luck")

    @app.get("/health")
    def health() -> None: ...

    @mounted.get("/parts/{part}")
    def part(part: str) -> str:
        return part

    app.mount("/sub", mounted)
    app.state.mounted = mounted
    return app


def nothing_else(app):
    instrument_app(app)
    return app


def starlettes_added_before(app):
    app.add_middleware(starlettes)
    instrument_app(app)
    return app


def starlettes_added_after(app):
    instrument_app(app)
    app.add_middleware(starlettes)
    return app


def starlettes_in_the_mounted_one(app):
    instrument_app(app)
    app.state.mounted.add_middleware(starlettes)
    return app


def starlettes_outside(app):
    instrument_app(app)
    return starlettes(app)


def starlettes_in_the_outer_one(app):
    instrument_app(app)
    return Starlette(routes=[Mount("/", app)], middleware=[Middleware(starlettes)])


def contribs_added_before(app):
    app.add_middleware(contribs, **QUIET)
    instrument_app(app)
    return app


def contribs_added_after(app):
    instrument_app(app)
    app.add_middleware(contribs, **QUIET)
    return app


def contribs_outside(app):
    instrument_app(app)
    return contribs(app, **QUIET)


def instrumentor_before(app):
    instrumentor.instrument_app(app, excluded_urls="health", **QUIET)
    instrument_app(app)
    return app


def instrumentor_before_that_excludes_nothing(app):
    instrumentor.instrument_app(app, **QUIET)
    instrument_app(app)
    return app


def instrumentor_after(app):
    instrument_app(app)
    instrumentor.instrument_app(app, **QUIET)
    return app


def instrumentor_on_the_mounted_one(app):
    instrument_app(app)
    instrumentor.instrument_app(app.state.mounted, **QUIET)
    return app


def instrumentor_on_the_outer_one(app):
    instrument_app(app)
    outer = FastAPI()
    instrumentor.instrument_app(outer, **QUIET)
    outer.mount("/", app)
    return outer


def natively_outside(app):
    instrument_app(app)
    outer = FastAPI()
    outer.mount("/", app)
    return outer


def all_outside_and_inside(app):
    app.add_middleware(contribs, **QUIET)
    instrument_app(app)
    app.add_middleware(starlettes)
    return starlettes(contribs(app, **QUIET))


INSIDE = (
    nothing_else,
    starlettes_added_before,
    starlettes_added_after,
    starlettes_in_the_mounted_one,
    contribs_added_before,
    contribs_added_after,
    instrumentor_before,
    instrumentor_before_that_excludes_nothing,
    instrumentor_after,
    instrumentor_on_the_mounted_one,
)
OUTSIDE = (
    starlettes_outside,
    starlettes_in_the_outer_one,
    contribs_outside,
    instrumentor_on_the_outer_one,
    natively_outside,
    all_outside_and_inside,
)


def ours(**settings: object):
    """Configure this library; returns the exported spans."""
    captured = CapturedSpans()
    configure_tracing(
        "shop",
        settings=TracingSettings(traces_exporter="none", **settings),
        span_processors=[captured],
    )
    return lambda: captured.spans


def external():
    """Install another provider; returns the spans that it exports."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"))
    return exporter.get_finished_spans


def servers(spans) -> list[str]:
    """The names of the server spans."""
    return [one.name for one in spans if one.kind is SpanKind.SERVER]


def added(spans, client: TestClient, path: str, headers: dict[str, str]) -> list[str]:
    """Send a request; return the names of its server spans."""
    before = len(servers(spans()))
    client.get(path, headers=headers)
    return servers(spans())[before:]


def _mode(name: str):
    return {
        "lean": ours,
        "contrib": lambda: ours(instrumentation="contrib"),
        "external provider": external,
        "disabled": lambda: ours(sdk_disabled=True),
    }[name]()


@pytest.mark.parametrize("mode", ["lean", "contrib", "external provider", "disabled"])
@pytest.mark.parametrize("wrap", [*INSIDE, *OUTSIDE], ids=lambda wrap: wrap.__name__)
def test_one_server_span(wrap, mode):
    """For a successful request, in the mounted application too, and for a failed one."""
    spans = _mode(mode)
    with TestClient(wrap(make_app()), raise_server_exceptions=False) as client:
        for path in ("/items/1", "/sub/parts/1", "/boom"):
            for headers in CALLERS:
                is_kept = headers.get("x-b3-sampled") != "0" or (
                    path == "/boom" and mode != "external provider"
                )
                expected = 1 if is_kept and mode != "disabled" else 0
                assert len(added(spans, client, path, headers)) == expected, (path, headers)


@pytest.mark.parametrize(
    ("mode", "wraps"),
    [
        ("lean", (*INSIDE, *OUTSIDE)),
        ("contrib", (*INSIDE, *OUTSIDE)),
        # Another provider exports what an outer instrumentation has begun.
        ("external provider", INSIDE),
        ("disabled", (*INSIDE, *OUTSIDE)),
    ],
)
def test_no_server_span_for_an_excluded_request(mode, wraps):
    """With and without the caller's ids."""
    spans = _mode(mode)
    for wrap in wraps:
        with TestClient(wrap(make_app())) as client:
            for headers in CALLERS:
                assert added(spans, client, "/health", headers) == [], (wrap.__name__, headers)


def test_in_process_call_has_its_own_server_span(caplog):
    """The calling request's span is not taken for the called one's."""
    spans = ours()
    inner = make_app()
    instrument_app(inner)
    outer = FastAPI()

    @outer.get("/outer")
    async def begin() -> None:
        for app in (inner, contribs(inner, **QUIET)):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://inner") as client:
                with span("work"):
                    await client.get("/items/1")
                    await client.get("/health")

    instrument_app(outer)
    with TestClient(outer) as client:
        client.get("/outer")
    assert servers(spans()) == ["GET /items/{item}"] * 2 + ["GET /outer"]


def test_a_span_between_an_outer_instrumentation_and_ours(caplog):
    """The outer instrumentation creates the server span, as one line says."""
    caplog.set_level(logging.INFO, "eco2_tracing")
    spans = ours()
    app = make_app()
    instrument_app(app)

    async def checked(scope, receive, send):
        with span("checked"):
            await app(scope, receive, send)

    with TestClient(contribs(checked, **QUIET)) as client:
        client.get("/items/1")
        client.get("/items/2")
    assert len(servers(spans())) == 2
    assert sum("stays in charge" in record.getMessage() for record in caplog.records) == 1


def as_it_is(app):
    """Hand on what the server gave."""
    return app


def in_a_closure(app):
    """Wrap ``send`` in a function."""

    async def surround(scope, receive, send):
        async def forward(message):
            await send(message)

        await app(scope, receive, forward)

    return surround


def in_a_partial(app):
    """Wrap ``send`` in a `functools.partial`, as Starlette's CORS does."""

    async def forward(message, send):
        await send(message)

    async def surround(scope, receive, send):
        await app(scope, receive, partial(forward, send=send))

    return surround


SURROUNDS = (as_it_is, in_a_closure, in_a_partial, GZipMiddleware)


def within_a_span(app):
    """Run each request within a span of the provider in charge."""
    tracer = trace.get_tracer("application")

    async def surround(scope, receive, send):
        with tracer.start_as_current_span("checked"):
            await app(scope, receive, send)

    return surround


def surrounded(app, surround):
    """Put contrib's middleware, a span and another middleware around an application."""
    return contribs(within_a_span(surround(app)), **QUIET)


@pytest.mark.parametrize("surround", SURROUNDS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("mode", ["lean", "external provider"])
def test_a_span_of_the_provider_in_charge_between(mode, surround):
    """It does not show what it is below; a call in the process still has a server span of its own."""
    spans = _mode(mode)
    app = make_app()
    instrument_app(app)
    with TestClient(surrounded(app, surround)) as client:
        for headers in CALLERS[:2]:
            assert added(spans, client, "/items/1", headers) == ["GET /items/1"]

    async def call() -> None:
        transport = httpx.ASGITransport(surrounded(app, surround))
        async with httpx.AsyncClient(transport=transport, base_url="http://inner") as client:
            with span("work"):
                await client.get("/items/1")

    before = len(servers(spans()))
    asyncio.run(call())
    assert servers(spans())[before:] == ["GET /items/{item}"]


def test_another_version_of_contribs_middleware(monkeypatch):
    """Without its private names there are two server spans, as the documentation says; nothing fails."""
    monkeypatch.setattr("eco2_tracing._compat.contrib._SPAN", "renamed")
    spans = external()
    app = make_app()
    instrument_app(app)
    with TestClient(surrounded(app, as_it_is)) as client:
        assert len(added(spans, client, "/items/1", {})) == 2


def test_a_send_that_is_not_complete():
    """A variable that has no value yet, and objects of any kind, are no span."""

    def make():
        async def forward(message):
            await later(message)

        found = is_served_by_contrib(forward)
        later = None
        return found, later

    assert make() == (False, None)
    assert not is_served_by_contrib(print)
