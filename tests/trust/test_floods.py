"""A flood of requests that ask to be sampled, with every kind of server span."""

from __future__ import annotations

import asyncio
import importlib
import itertools

import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

import eco2_tracing
from eco2_tracing.testing import TRACE_ID, CapturedSpans

from .test_untrusting import EVERYTHING, FORCED

A_SECOND = 1000
# Of a thousand at one in a hundred; the probability of more is 10**-13.
AT_MOST = 40


def scope(path, headers, kind="http"):
    """An ASGI scope."""
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    more = {"subprotocols": []} if kind == "websocket" else {"method": "GET"}
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"edge"), *pairs],
        "client": ("192.0.2.1", 1),
        "server": ("edge", 80),
        **more,
    }


async def request(app, path, headers, kind="http"):
    """Serve one connection; return the response headers."""
    first = "websocket.connect" if kind == "websocket" else "http.request"
    incoming = iter([{"type": first, "body": b""}, {"type": "websocket.disconnect", "code": 1000}])
    answered = []

    async def receive():
        return next(incoming)

    async def send(message):
        answered.extend(message.get("headers", ()))

    await app(scope(path, headers, kind), receive, send)
    return dict(answered)


def flood(app, kind, count=A_SECOND):
    """Send so many requests, cycling through the forms of forced sampling; return the names of all response headers."""

    async def run():
        names = set()
        forms = itertools.islice(itertools.cycle([*FORCED, EVERYTHING]), count)
        for headers in forms:
            names |= set(await request(app, "/ws" if kind == "websocket" else "/work", headers, kind))
        return names

    return asyncio.run(run())


class External:
    """Another provider with its own sampler."""

    def __init__(self):
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBasedTraceIdRatio(0.01), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        trace.set_tracer_provider(provider)

    @property
    def traces(self):
        """The exported trace ids."""
        return {f"{span.context.trace_id:032x}" for span in self._exporter.get_finished_spans()}


class Ours:
    """The spans that this library exports."""

    def __init__(self):
        self.captured = CapturedSpans()

    @property
    def traces(self):
        """The exported trace ids."""
        return {span.trace_id for span in self.captured.spans}


@pytest.fixture(params=["lean", "contrib", "foreign"])
def service(request):
    """An application that samples one in a hundred, and its exported spans."""
    contrib = importlib.import_module("opentelemetry.instrumentation.fastapi").FastAPIInstrumentor
    apps = []

    def make(**settings):
        exported = External() if request.param == "foreign" else Ours()
        eco2_tracing.configure_tracing(
            settings=eco2_tracing.TracingSettings(
                traces_exporter="none",
                traces_sampler="parentbased_traceidratio",
                traces_sampler_arg="0.01",
                instrumentation="contrib" if request.param == "contrib" else "lean",
                **settings,
            ),
            span_processors=[exported.captured] if isinstance(exported, Ours) else [],
        )
        app = FastAPI()
        app.get("/work")(lambda: None)

        @app.websocket("/ws")
        async def talk(websocket: WebSocket):
            await websocket.accept()

        eco2_tracing.instrument_app(app)
        apps.append(app)
        return app, exported

    yield make
    for app in apps:
        contrib.uninstrument_app(app)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_flood_is_exported_at_the_head_samplers_rate(service, kind):
    """None has the caller's trace id, and no response tells of a kept trace."""
    app, exported = service(trust_inbound=False)
    names = flood(app, kind)
    assert len(exported.traces) < AT_MOST
    assert TRACE_ID not in exported.traces
    assert not {b"server-timing", b"traceresponse"} & names


def test_trusting_service_follows_the_flood(service):
    """Requests with ids are one trace, requests without ids are new traces."""
    app, exported = service(trust_inbound=True)
    flood(app, "http", 20)
    assert TRACE_ID in exported.traces
