"""Rare requests: abandoned, forked, served twice, or failing in an unusual way."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect

import eco2_tracing
from eco2_tracing import _forks
from eco2_tracing._context import otel_context, reset
from eco2_tracing._instrumentation import fastapi as fastapi_module
from eco2_tracing._instrumentation.common.isolation import without_leftovers
from eco2_tracing._instrumentation.common.outer import discard
from eco2_tracing._instrumentation.contrib.switch import _record_peer_end
from eco2_tracing.testing import SPAN_ID, TRACE_ID, CapturedSpans
from tests.requests.test_odd_requests import configured, serve

IDS = [(b"x-b3-traceid", TRACE_ID.encode()), (b"x-b3-spanid", SPAN_ID.encode())]
REFUSED = [*IDS, (b"x-b3-sampled", b"0")]


@pytest.fixture(autouse=True)
def background_tasks(monkeypatch):
    """Contrib replaces the method of background tasks for the whole process; restore it."""
    monkeypatch.setattr(BackgroundTask, "__call__", BackgroundTask.__call__)
    yield
    if hasattr(BackgroundTask, "_otel_original_call"):
        del BackgroundTask._otel_original_call


async def nothing(*_: Any) -> None:
    """Receive or send nothing."""


async def pause(*_: Any) -> None:
    """Wait until the coroutine is closed."""
    await asyncio.sleep(0)


def http(path: str = "/", **changes: Any) -> dict[str, Any]:
    """An ASGI scope."""
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], **changes}


def around(app: Any, **settings: Any) -> tuple[Any, CapturedSpans]:
    """The middleware of an instrumented application around another ASGI application."""
    owner = FastAPI()
    _, captured = configured(owner, **settings)
    stack: Any = owner.build_middleware_stack()
    stack.app = app
    return stack, captured


def abandon(coroutine: Any) -> None:
    """Start a coroutine in one context and close it in another."""
    contextvars.copy_context().run(coroutine.send, None)
    contextvars.copy_context().run(coroutine.close)


def test_token_of_another_context_is_ignored():
    """Resetting a value that another context set does not change the current one."""
    token = contextvars.copy_context().run(otel_context.set, context.Context({"other": 1}))
    before = otel_context.get()
    reset(token)
    assert otel_context.get() == before


@pytest.mark.parametrize("headers", [[], REFUSED], ids=["recorded", "refused"])
@pytest.mark.parametrize("settings", [{}, {"error_sampling_rate": 0}], ids=["kept", "none kept"])
def test_abandoned_request_ends(headers, settings):
    """A request closed in another context raises nothing and leaves nothing there."""
    stack, captured = around(pause, **settings)
    abandon(stack(http(headers=headers), nothing, nothing))
    assert not otel_context.get()
    assert len(captured.spans) == (0 if headers else 1)


def test_request_abandoned_at_its_last_message_ends():
    """The server was sending the end of its response."""

    async def answer(scope, receive, send):
        await send({"type": "http.response.body", "body": b""})

    stack, captured = around(answer)
    abandon(stack(http(), nothing, pause))
    assert not otel_context.get()
    assert len(captured.spans) == 1


def test_fork_in_c_is_noticed(monkeypatch):
    """The child restarts tracing before its first request and before its first call."""
    happened = []
    monkeypatch.setattr(_forks._forks, "hooks", [lambda: happened.append("renewed")])

    async def answer(scope, receive, send):
        happened.append("served")

    def callee(request: httpx.Request) -> httpx.Response:
        happened.append("called")
        return httpx.Response(200)

    stack, _ = around(answer)
    _forks.mark[0] = 0
    asyncio.run(stack(http(), nothing, nothing))
    _forks.mark[0] = 0
    with httpx.Client(transport=httpx.MockTransport(callee)) as client:
        client.get("http://stock/")
    assert happened == ["renewed", "served", "renewed", "called"]


def test_call_of_a_span_dropped_before_the_error():
    """Calls after an error are injected as sampled, even if their parent was dropped."""
    app, told = FastAPI(), []

    def callee(request: httpx.Request) -> httpx.Response:
        told.append(request.headers)
        return httpx.Response(200)

    @app.get("/items")
    def items() -> None:
        early = []
        for _ in range(600):
            with eco2_tracing.span("early") as span:
                early.append(span)
        with pytest.raises(ValueError, match="late"), eco2_tracing.span("late"):
            raise ValueError("late")
        let_go = next(span for span in early if not span.get_span_context().trace_flags.sampled)
        with trace.use_span(let_go), httpx.Client(transport=httpx.MockTransport(callee)) as client:
            client.get("http://stock/")

    client, captured = configured(app)
    client.get("/items", headers={k.decode(): v.decode() for k, v in REFUSED})
    assert told[0]["x-b3-sampled"] == "1"
    assert "late" in {span.name for span in captured.spans}


def test_500_after_a_disconnect_with_contrib():
    """An application that answers a broken upload with 500 keeps no trace."""
    pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="contrib is not installed")
    app = FastAPI()

    @app.post("/upload")
    async def upload(request: Request) -> JSONResponse:
        try:
            await request.body()
        except ClientDisconnect:
            return JSONResponse({}, 500)
        raise AssertionError

    _, captured = configured(app, instrumentation="contrib")
    sent = []

    async def leave() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(http("/upload", method="POST", headers=REFUSED), leave, send))
    assert sent[0]["status"] == 500
    assert not captured.spans


def test_disconnect_is_noted_on_our_spans_alone():
    """A span of another provider is not changed."""
    _record_peer_end(trace.INVALID_SPAN)


def test_server_span_of_another_provider_is_not_dropped():
    """An excluded request leaves the outer span of another provider as it is."""
    foreign = TracerProvider().get_tracer("shop").start_span("GET", kind=trace.SpanKind.SERVER)
    discard(foreign, None)
    assert foreign.is_recording()


def test_instrument_app_twice_with_contrib(caplog):
    """The second call logs nothing more."""
    contrib = pytest.importorskip("opentelemetry.instrumentation.fastapi", reason="contrib is not installed")
    app = FastAPI()
    contrib.FastAPIInstrumentor.instrument_app(app)
    eco2_tracing.instrument_app(app)
    caplog.clear()
    eco2_tracing.instrument_app(app, excluded_paths="/other")
    assert not caplog.records


def test_request_without_headers_with_contrib(caplog):
    """A server that violates ASGI costs an excluded request its exclusion, not the response."""
    asked, app = [], FastAPI()

    async def plain(scope, receive, send):
        asked.append(scope["path"])

    eco2_tracing.configure_tracing(settings=eco2_tracing.TracingSettings(traces_exporter="none"))
    fastapi_module.isolate(app, fastapi_module.ExcludedPaths(["/health"]))
    stack: Any = app.build_middleware_stack()
    stack.app = plain
    serve(stack, path="/health", headers=...)
    assert asked == ["/health"]
    assert "beginning of a request" in caplog.text


def test_context_after_a_startup_without_a_span():
    """Only a span that continues one of the start-up is discarded."""
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    startup = context.set_value("colour", "red", context.Context())
    base = trace.set_span_in_context(span, startup)
    assert without_leftovers(base, startup, {}) is base


def test_failing_send_of_an_unusual_message():
    """The connection broke during a request without a body."""
    caught = []

    async def answer(scope, receive, send):
        try:
            await send({"type": "http.response.debug", "info": {}})
        except OSError as error:
            caught.append(str(error))

    async def broken(message):
        raise OSError("gone")

    stack, captured = around(answer)
    coroutine = stack(http(), nothing, broken)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    assert caught == ["gone"]
    assert len(captured.spans) == 1


def test_failure_while_an_exception_is_recorded(caplog):
    """It does not replace the exception."""

    class Odd(ExceptionGroup):
        readings = 0

        @property
        def exceptions(self):
            self.readings += 1
            if self.readings == 1:
                raise RuntimeError("not now")
            return super().exceptions

    async def answer(scope, receive, send):
        raise Odd("odd", [ValueError("no such luck")])

    stack, captured = around(answer)
    with pytest.raises(Odd):
        stack(http(), nothing, nothing).send(None)
    assert "the exception of a request" in caplog.text
    assert len(captured.spans) == 1
