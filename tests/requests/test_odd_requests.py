"""Unusual requests, applications and servers: they are served."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from importlib.util import find_spec

import pytest
from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import Response
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import StatusCode

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID, CapturedSpans, b3_headers
from tests.requests.conftest import make_app
from tests.support.hostile import FrozenError


def configured(app, captured=None, hook=None, **settings):
    """An application under settings of its own, and what it would export."""
    captured = CapturedSpans() if captured is None else captured
    made = eco2_tracing.TracingSettings(traces_exporter="none", **settings)
    eco2_tracing.configure_tracing(settings=made, span_processors=[captured])
    eco2_tracing.instrument_app(app, server_request_hook=hook)
    return TestClient(app, raise_server_exceptions=False), captured


def serve(app, **changes):
    """Send one request to an application without a server; return the response's messages."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/items/7",
        "raw_path": b"/items/7", "query_string": b"", "root_path": "", "scheme": "http", "headers": [],
        "server": ("127.0.0.1", 80), "client": None,
    }  # fmt: skip
    scope.update(changes)
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app({key: value for key, value in scope.items() if value is not ...}, receive, send))
    return sent


def test_request_without_headers_is_served(caplog):
    """A server that violates ASGI costs the span, not the response; it is logged once."""
    app = FastAPI()

    @app.get("/items/7")
    async def item(request: Request):
        return {}

    configured(app)
    asked = []

    async def plain(scope, receive, send):
        asked.append(scope["path"])

    stack = app.build_middleware_stack()
    stack.app = plain
    serve(stack, headers=...)
    serve(stack, headers=...)
    assert asked == ["/items/7", "/items/7"]
    assert [record.levelname for record in caplog.records if "beginning of a request" in record.message] == [
        "WARNING"
    ]


def test_response_with_an_invalid_status_is_sent():
    """The application's messages are passed on unchanged."""
    app = FastAPI()
    _, captured = configured(app)

    async def odd(scope, receive, send):
        await send({"type": "http.response.start", "status": "fine", "headers": []})
        await send({"type": "http.response.body", "body": b"!"})

    stack = app.build_middleware_stack()
    stack.app = odd
    assert [message.get("status") for message in serve(stack)] == ["fine", None]
    assert len(captured.spans) <= 1


@pytest.mark.parametrize("last", ["http.response.trailers", "http.response.pathsend"])
def test_responses_with_other_ends(last):
    """Trailers and files sent by the server end the span; a later exception is an error."""
    app = FastAPI()
    _, captured = configured(app)

    async def answer(scope, receive, send):
        trailers = last == "http.response.trailers"
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": trailers})
        if trailers:
            await send({"type": "http.response.body", "body": b""})
            await send({"type": last, "headers": [], "more_trailers": True})
        await send({"type": last, "headers": []})
        raise OSError("after the answer")

    stack = app.build_middleware_stack()
    stack.app = answer
    with pytest.raises(OSError, match="after the answer"):
        serve(stack)
    (span,) = captured.spans
    assert span.status is StatusCode.ERROR
    assert [event.time_ns for event in span.events] == [span.end_ns]


def test_hook_is_called_for_recorded_requests():
    """It can set attributes; its exceptions are recorded and have no other effect."""

    def hook(span, scope):
        span.set_attribute("tenant", scope["path"])
        raise ValueError("hook")

    client, captured = configured(make_app(), hook=hook)
    with client:
        assert client.get("/items/7").status_code == 200
    (span,) = captured.spans
    assert span.attributes["tenant"] == "/items/7"
    assert [event.attributes["exception.message"] for event in span.events] == ["hook"]


def test_failing_processor_has_no_effect():
    """It fails at the start and at the end of a span."""

    class Failing(CapturedSpans):
        def on_start(self, span, parent_context=None):
            raise ValueError("start")

        def on_end(self, span):
            raise ValueError("end")

    client, _ = configured(make_app(), Failing())
    with client:
        assert client.get("/items/7").status_code == 200


def test_a_processor_gets_the_callers_context():
    """``on_start`` finds the caller's span and baggage in ``parent_context``, as with the SDK."""
    from opentelemetry import baggage, trace

    seen = []

    class Listening(CapturedSpans):
        def on_start(self, span, parent_context=None):
            caller = trace.get_current_span(parent_context).get_span_context()
            seen.append((caller.span_id, baggage.get_all(parent_context)))

    client, _ = configured(make_app(), Listening())
    with client:
        client.get("/items/7", headers={**b3_headers(), "baggage": "tenant=acme"})
        client.get("/items/7")
    assert seen == [(int(SPAN_ID, 16), {"tenant": "acme"}), (0, {})]


def test_trace_id_in_a_response_header():
    """Also if nothing is recorded."""
    client, _ = configured(
        make_app(), response_header="X-Trace-Id", traces_sampler="always_off", redact_keys="x"
    )
    with client:
        assert client.get("/items/7", headers=b3_headers(sampled=False)).headers["x-trace-id"] == TRACE_ID
        assert len(client.get("/stream").headers["x-trace-id"]) == 32


def test_baggage_is_current_in_the_request():
    """The API returns the caller's baggage."""
    from opentelemetry import baggage

    app = FastAPI()

    @app.get("/")
    def root():
        return dict(baggage.get_all())

    client, _ = configured(app)
    with client:
        assert client.get("/", headers={"baggage": "tenant=acme"}).json() == {"tenant": "acme"}


@pytest.mark.parametrize(
    ("server", "url"), [(("10.0.0.1", 80), "10.0.0.1/"), (("h", 81), "h:81/"), (None, "0.0.0.0/")]
)
def test_excluded_urls_without_a_host_header(server, url):
    """The server's address replaces it, as in contrib."""
    app = FastAPI()
    _, captured = configured(app, excluded_urls=f"http://{url}items")
    stack = app.build_middleware_stack()

    async def answer(scope, receive, send):
        """Send an empty response."""

    stack.app = answer
    serve(stack, server=server)
    assert captured.spans == ()


def test_frozen_exception():
    """An exception that takes no attributes is recorded."""
    app = FastAPI()

    @app.get("/")
    async def root():
        raise FrozenError("cold")

    client, captured = configured(app)
    with client:
        assert client.get("/").status_code == 500
    assert captured.spans[0].attributes["error.type"] == "FrozenError"


def test_background_tasks_without_tracing_run():
    """The application is instrumented and tracing is not configured."""
    app, done = FastAPI(), []
    eco2_tracing.instrument_app(app)

    @app.get("/")
    async def root(tasks: BackgroundTasks):
        tasks.add_task(done.append, 1)
        return Response()

    with TestClient(app) as client:
        client.get("/")
    assert done == [1]


class Asked(Sampler):
    """Samples by the attributes at the start."""

    def should_sample(
        self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None
    ):
        chosen = (attributes or {}).get("url.path") == "/items/7"
        decision = Decision.RECORD_AND_SAMPLE if chosen else Decision.DROP
        return SamplingResult(decision, {**(attributes or {}), "asked": True}, trace_state)

    def get_description(self):
        return "Asked"


def test_installed_sampler_receives_request_attributes(monkeypatch):
    """Those relevant to sampling; its own attributes are on the span."""
    from eco2_tracing.sampling import _build

    class Point:
        name = "asked"

        def load(self):
            return lambda _argument: Asked()

    monkeypatch.setattr(_build, "entry_points", lambda **_: [Point()])
    monkeypatch.setattr(
        "eco2_tracing._settings.names.installed_names", lambda _group: {"asked"}, raising=False
    )
    made = eco2_tracing.TracingSettings(traces_exporter="none").model_copy(update={"traces_sampler": "asked"})
    captured, app = CapturedSpans(), make_app()
    eco2_tracing.configure_tracing(settings=made, span_processors=[captured])
    eco2_tracing.instrument_app(app)
    with TestClient(app) as client:
        client.get("/items/7")
        client.get("/items/8", headers=b3_headers(SPAN_ID * 2))
    (span,) = captured.spans
    assert (span.name, span.attributes["asked"]) == ("GET /items/{item_id}", True)


def test_internal_failures_do_not_affect_a_lifespan(monkeypatch):
    """Neither its start nor its end."""
    from eco2_tracing._instrumentation.common.state import current

    app = make_app()
    client, _ = configured(app)

    def fail():
        raise RuntimeError("lifespan")

    current.state.startup = current.state.shutdown = fail
    with client:
        assert client.get("/items/7").status_code == 200


def test_import_does_not_change_garbage_collection():
    """It stays enabled or disabled."""
    for switch, expected in (("gc.disable()", "False"), ("gc.enable()", "True")):
        code = f"import gc; {switch}; import eco2_tracing; print(gc.isenabled())"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected


def test_ordinary_request_logs_nothing(caplog):
    """Start-up logs one line, requests none."""
    with caplog.at_level(logging.INFO, logger="eco2_tracing"):
        client, _ = configured(make_app())
        with client:
            client.get("/items/7")
    assert len([record for record in caplog.records if record.name == "eco2_tracing"]) == 1


def test_hook_is_called_without_processors():
    """Most services have none."""
    made, seen = make_app(), []
    eco2_tracing.configure_tracing(settings=eco2_tracing.TracingSettings(traces_exporter="none"))
    eco2_tracing.instrument_app(made, server_request_hook=lambda span, scope: seen.append(scope["path"]))
    with TestClient(made) as client:
        client.get("/items/7")
    assert seen == ["/items/7"]


def test_words_of_contribs_list_are_paths():
    """They are added to the excluded paths."""
    client, captured = configured(make_app(), excluded_urls="status")
    with client:
        client.get("/status/200")
        client.get("/health")
    assert captured.spans == ()


def test_context_of_other_propagators():
    """Values of another package's propagator are in the request's context."""
    from opentelemetry.context import get_value

    from eco2_tracing._instrumentation.common.state import current
    from eco2_tracing.propagation import Inbound

    app = FastAPI()

    @app.get("/")
    def root():
        return get_value("vendor")

    client, _ = configured(app)
    with client:
        client.get("/")
        current.state.read = lambda _headers: Inbound(extras={"vendor": "found"})
        assert client.get("/").json() == "found"


def test_failure_beyond_the_cap():
    """It is neither exported nor reported to the caller; the response does not change."""
    client, captured = configured(make_app(), max_kept_traces_per_second=1)
    with client:
        answers = [client.get("/boom", headers=b3_headers(sampled=False)) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {500}
    told = [answer for answer in answers if "server-timing" in answer.headers]
    assert len(told) == len(captured.spans) < 5


def test_websocket_closed_by_its_client_is_no_error():
    """With the codes 1000 and 1001."""
    from starlette.websockets import WebSocketDisconnect

    client, captured = configured(make_app())
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws/lobby") as socket:
        socket.close(1001)
        socket.receive_text()
    (span,) = captured.spans
    assert (span.name, span.status) == ("HTTP /ws/{room}", StatusCode.UNSET)


def test_group_of_one_exception_is_that_exception():
    """Task groups wrap the exception of a task."""
    app = FastAPI()

    @app.get("/")
    async def root():
        raise ExceptionGroup("tasks", [LookupError("lost")])

    client, captured = configured(app, response_header="x-trace-id")
    with client:
        assert len(client.get("/").headers["x-trace-id"]) == 32
    assert captured.spans[0].attributes["error.type"] == "LookupError"


@pytest.mark.skipif(find_spec("fastapi.telemetry") is None, reason="this FastAPI has no telemetry of its own")
def test_fastapi_metrics_continue():
    """FastAPI's own telemetry loses its spans, not its metrics."""
    metrics = pytest.importorskip("opentelemetry.sdk.metrics")
    export = pytest.importorskip("opentelemetry.sdk.metrics.export")
    reader = export.InMemoryMetricReader()
    provider = metrics.MeterProvider([reader])
    try:
        app = FastAPI(telemetry={"meter_provider": provider})
        app.get("/")(lambda: None)
        client, captured = configured(app)
        with client:
            client.get("/")
        found = {
            metric.name
            for one in reader.get_metrics_data().resource_metrics
            for scope in one.scope_metrics
            for metric in scope.metrics
        }
    finally:
        provider.shutdown()
    assert [span.name for span in captured.spans] == ["GET /"]
    assert "http.server.request.duration" in found


def test_scope_without_a_scheme():
    """ASGI allows it; no scheme is invented."""
    app = make_app()
    _, captured = configured(app)
    assert serve(app, scheme=...)[0]["status"] == 200
    assert "url.scheme" not in captured.spans[0].attributes


def test_message_after_the_end_reaches_the_server():
    """A task that outlives its request sends as it would without tracing."""
    app, late = FastAPI(), []
    configured(app)

    async def answer(scope, receive, send):
        late.append(send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    stack = app.build_middleware_stack()
    stack.app = answer
    sent = serve(stack)
    messages = [
        {"type": "http.response.start", "status": 500, "headers": []},
        {"type": "http.response.body", "body": b"late"},
    ]
    for message in messages:
        asyncio.run(late[0](message))
    assert sent[-2:] == messages


@pytest.mark.parametrize("theirs", [False, True])
@pytest.mark.parametrize("read", [{}, {"http_capture_headers_server_response": "x-a"}])
def test_headers_that_are_iterators(theirs, read):
    """ASGI requires no more; application and client receive all of them."""
    app, seen = FastAPI(), []

    async def answer(scope, receive, send):
        seen.extend(scope["headers"])
        headers = [(b"x-a", b"1"), (b"content-type", b"text/event-stream"), (b"x-b", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": iter(headers)})
        await send({"type": "http.response.body", "body": b""})

    app.mount("/raw", answer)
    if theirs:
        trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    configured(app, **read)
    asked = [(b"host", b"shop"), (b"x-b3-sampled", b"1")]
    start, *_ = serve(app, path="/raw/", headers=iter(asked))
    assert seen == asked
    assert [name for name, _ in start["headers"]] == [b"x-a", b"content-type", b"x-b"]


def test_unreadable_responses_with_another_provider():
    """They are sent unchanged; only the span lacks attributes."""
    app = FastAPI()

    async def answer(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [("no", "bytes")]})
        await send({"type": "http.response.body", "body": b""})

    app.mount("/raw", answer)
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    configured(app, http_capture_headers_server_response="no")
    assert serve(app, path="/raw/")[0]["headers"] == [("no", "bytes")]
