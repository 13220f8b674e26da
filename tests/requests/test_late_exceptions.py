"""Exceptions after the last byte of a response are recorded on the server span."""

from __future__ import annotations

import gc

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry.trace import StatusCode

import eco2_tracing
from eco2_tracing import TracingSettings, configure_tracing
from eco2_tracing.testing import CapturedSpans, b3_headers

# Streams of older versions of Starlette's middleware warn when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collected():
    """Trigger warnings at garbage collection within the test."""
    yield
    gc.collect()


def fail() -> None:
    """Raise after the response."""
    raise RuntimeError("late")


def teardown():
    """A dependency whose teardown fails."""
    yield 1
    fail()


async def broken_parts():
    """A stream that breaks off."""
    yield b"first"
    fail()


class Outside:
    """Middleware that fails after the response is complete."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)
        if scope["type"] == "http" and scope["path"] == "/plain":
            fail()


class OwnBackground:
    """A background task that is not Starlette's."""

    async def __call__(self) -> None:
        fail()


def make_app(*, http_middleware: bool) -> FastAPI:
    """An application that fails late in every way."""
    app = FastAPI()
    app.get("/teardown", dependencies=[Depends(teardown)])(lambda: 1)
    app.get("/stream")(lambda: StreamingResponse(broken_parts()))
    app.get("/plain")(lambda: 1)
    app.get("/own-background")(lambda: PlainTextResponse("x", background=OwnBackground()))

    @app.get("/background")
    def background(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)

    app.add_middleware(Outside)
    if http_middleware:

        @app.middleware("http")
        async def around(request, call_next):
            return await call_next(request)

    return app


def asked(path: str, *, http_middleware: bool, chosen: bool) -> CapturedSpans:
    """Send one request; return the exported spans."""
    app, captured = make_app(http_middleware=http_middleware), CapturedSpans()
    configure_tracing("shop", settings=TracingSettings(traces_exporter="none"), span_processors=[captured])
    eco2_tracing.instrument_app(app)
    with TestClient(app) as client:
        try:
            client.get(path, headers=b3_headers(sampled=chosen))
        except (RuntimeError, ExceptionGroup):  # a group where an older Starlette runs a stream in one
            return captured
    pytest.skip("the middleware of this Starlette swallows the exception")


@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize("http_middleware", [True, False])
@pytest.mark.parametrize("path", ["/teardown", "/stream", "/plain", "/own-background"])
def test_server_span_has_the_exception(path, http_middleware, chosen):
    """Status, `error.type`, event, and the reason for which the trace is kept."""
    (span,) = asked(path, http_middleware=http_middleware, chosen=chosen).spans
    if span.attributes["http.response.status_code"] == 500:
        pytest.skip("this FastAPI ends dependencies before it responds")
    assert (span.status, span.status_description) == (StatusCode.ERROR, "RuntimeError: late")
    assert span.attributes["error.type"] == "RuntimeError"
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["eco2.sampling.reason"] == "error"
    (event,) = span.events
    assert event.attributes["exception.message"] == "late"
    assert span.start_ns <= event.time_ns <= span.end_ns


@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize("http_middleware", [True, False])
def test_exception_of_a_background_task_is_on_its_span(http_middleware, chosen):
    """The server span is no error; the trace is kept."""
    captured = asked("/background", http_middleware=http_middleware, chosen=chosen)
    (server,) = captured.find("GET /background")
    tasks = captured.find(
        "BackgroundTask fail"
    )  # contrib's beside ours, where it was applied in this process
    assert (server.status, server.events) == (StatusCode.UNSET, ())
    assert {task.status for task in tasks} == {StatusCode.ERROR}
    assert any(task.events for task in tasks)
    assert server.attributes["eco2.sampling.reason"] == "error"
