"""Requests that nothing asks about: neither ids nor a local trace are made before something does.

The application has no span processors here: where it has some, they ask at the beginning.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry import trace

import eco2_tracing
from eco2_tracing import TracingSettings, current_span_id, current_trace_id, span
from eco2_tracing.testing import TRACE_ID, OtlpReceiver, b3_headers, traceparent_headers

REASON = "eco2.sampling.reason"
UNSAMPLED = b3_headers(sampled=False)


class Untouched:
    """An application whose exports are received by a server, and the loop in which it is driven."""

    def __init__(self, receiver, **settings):
        self.receiver = receiver
        settings = TracingSettings(
            exporter_otlp_endpoint=receiver.http_endpoint, exporter_otlp_protocol="http/protobuf", **settings
        )
        eco2_tracing.configure_tracing("orders", settings=settings)
        self.app = FastAPI()
        self.late = asyncio.Event()
        self.tasks = []
        self.raised = []
        self._add_routes()
        eco2_tracing.instrument_app(self.app)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def _add_routes(self):
        app = self.app

        @app.get("/good")
        async def good() -> str:
            return "good"

        @app.get("/ids")
        async def ids() -> list[str | None]:
            return [current_trace_id(), current_span_id()]

        @app.get("/threads")
        def threads() -> list[str]:
            together = threading.Barrier(8)

            def ask(_number):
                together.wait(10)
                return current_span_id()

            contexts = [contextvars.copy_context() for _ in range(8)]
            with ThreadPoolExecutor(8) as pool:
                return list(pool.map(lambda number: contexts[number].run(ask, number), range(8)))

        @app.get("/forks")
        async def forks() -> list[str]:
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(write, current_span_id().encode())
                os._exit(0)
            os.waitpid(child, 0)
            told = os.read(read, 64).decode()
            os.close(read)
            os.close(write)
            return [told, current_span_id()]

        @app.get("/unavailable")
        async def unavailable() -> str:
            raise HTTPException(503)

        @app.get("/fails")
        async def fails() -> str:
            self.span = trace.get_current_span()
            raise self._lost()

        @app.get("/calls")
        async def calls() -> None:
            def refuse(_request):
                raise self._lost()

            async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as client:
                with contextlib.suppress(LostError):
                    await client.get("http://stock")

        @app.get("/stream")
        async def stream() -> StreamingResponse:
            return StreamingResponse(iter(["a", "b"]))

        @app.get("/late")
        async def late() -> str:
            self.tasks.append(asyncio.create_task(self._fails_late()))
            return "good"

        @app.get("/background")
        async def background(tasks: BackgroundTasks) -> str:
            tasks.add_task(_fail)
            return "good"

        @app.websocket("/socket")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text("hello")
            raise KeyError("nobody")

        @app.websocket("/odd")
        async def odd(websocket: WebSocket) -> None:
            await websocket.accept()
            raise OddError

    def _lost(self):
        error = LostError("nobody")
        self.raised.append(weakref.ref(error))
        return error

    async def _fails_late(self):
        await self.late.wait()
        with span("late"):
            raise KeyError("nobody")

    def get(self, path, headers=UNSAMPLED):
        """Ask the application."""
        return self.client.get(path, headers=headers)

    def exported(self):
        """What has been exported so far."""
        assert eco2_tracing.flush_tracing()
        return list(self.receiver.spans)


class LostError(Exception):
    """An exception that can be looked after."""


class OddError(Exception):
    """An exception without the usual attributes."""

    @property
    def code(self):
        """Raise, too."""
        raise ValueError("no code")


def _fail():
    raise KeyError("nobody")


@pytest.fixture
def receiver():
    """A collector."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.mark.parametrize("path", ["/good", "/stream", "/ids", "/nowhere"])
def test_a_good_request_leaves_nothing(receiver, path):
    """Neither a span nor anything that is held for one."""
    service = Untouched(receiver)
    service.get(path)
    assert service.exported() == []
    assert not any(eco2_tracing.tracing_status().spans_dropped.values())


@pytest.mark.parametrize("rate", [1.0, 0.0])
def test_the_ids_that_were_asked_for_stay(receiver, rate):
    """The caller's trace, and a span id of the request's own, the same for all its threads."""
    service = Untouched(receiver, error_sampling_rate=rate)
    trace_id, span_id = service.get("/ids").json()
    assert trace_id == TRACE_ID
    assert span_id not in (None, UNSAMPLED["X-B3-SpanId"])
    assert len(set(service.get("/threads").json())) == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("rate", [1.0, 0.0])
def test_a_forked_child_speaks_of_the_same_span(receiver, rate):
    """Its log lines, calls and spans belong to the request that forked, whichever of the two asks first."""
    child, parent = Untouched(receiver, error_sampling_rate=rate).get("/forks").json()
    assert child == parent


@pytest.mark.parametrize(
    "headers", [UNSAMPLED, {**traceparent_headers(sampled=False), "tracestate": "vendor=1"}]
)
@pytest.mark.parametrize(
    ("path", "status", "events"),
    [("/unavailable", "ERROR", []), ("/fails", "ERROR", ["exception"]), ("/background", "UNSET", [])],
)
def test_a_failure_is_kept(receiver, headers, path, status, events):
    """It is what is asked first: the span has all that it would have had from the beginning."""
    service = Untouched(receiver)
    answer = service.get(path, headers)
    (server, *_below) = sorted(service.exported(), key=lambda each: each.start_ns)
    assert (server.name, server.trace_id) == (f"GET {path}", TRACE_ID)
    assert server.attributes[REASON] == "error"
    assert (server.status.name, [event.name for event in server.events]) == (status, events)
    assert server.start_ns <= server.end_ns
    assert ("server-timing" in answer.headers) is (path != "/background")
    assert ("vendor=1" in server.trace_state) is ("tracestate" in headers)


@pytest.mark.parametrize("rate", [1.0, 0.0])
def test_the_response_header(receiver, rate):
    """It names the caller's trace, whether or not anything of the request could be kept."""
    service = Untouched(receiver, error_sampling_rate=rate, response_header="x-trace-id")
    assert service.get("/good").headers["x-trace-id"] == TRACE_ID


def test_a_failing_socket(receiver):
    """A WebSocket's failure is kept as well."""
    service = Untouched(receiver)
    with (
        pytest.raises(KeyError),
        service.client.websocket_connect("/socket", headers=UNSAMPLED) as socket,
    ):
        socket.receive_text()
        socket.receive_text()
    (server,) = service.exported()
    assert server.attributes[REASON] == "error"


def test_an_exception_that_cannot_be_asked_is_passed_on(receiver):
    """The server sees what the application raised, and nothing of ours."""
    service = Untouched(receiver)
    with pytest.raises(OddError), service.client.websocket_connect("/odd", headers=UNSAMPLED) as socket:
        socket.receive_text()


async def _take(_message):
    pass


async def _serve(app, path, send=_take, headers=UNSAMPLED):
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    await app(scope, receive, send)


def test_what_fails_after_a_good_end_is_forgotten(receiver):
    """The first span of a request that has ended well: the decision stands, and nothing is held."""
    service = Untouched(receiver)

    async def drive():
        await _serve(service.app, "/late")
        service.late.set()
        return await asyncio.gather(*service.tasks, return_exceptions=True)

    (failed,) = asyncio.run(drive())
    assert isinstance(failed, KeyError)
    assert service.exported() == []


def test_a_last_message_that_the_server_refuses(receiver):
    """A body that is shorter than announced, for example: the request failed, although a good answer had begun."""
    service = Untouched(receiver)

    async def send(message):
        if message["type"] == "http.response.body":
            raise RuntimeError("Response content shorter than Content-Length")

    with pytest.raises(RuntimeError):
        asyncio.run(_serve(service.app, "/good", send))
    (server,) = service.exported()
    assert (server.status.name, server.attributes["error.type"]) == ("ERROR", "RuntimeError")
    assert [event.name for event in server.events] == ["exception"]


@pytest.mark.parametrize("path", ["/fails", "/calls"])
@pytest.mark.parametrize("sampled", [True, False])
def test_a_failures_frames_are_let_go(receiver, sampled, path):
    """With the exception, as soon as the server is done with it: they hold bodies, and sessions of databases."""
    service = Untouched(receiver)

    async def drive():
        with contextlib.suppress(LostError):
            await _serve(service.app, path, headers=b3_headers(sampled=sampled))

    gc.disable()
    try:
        asyncio.run(drive())
        assert [lost() for lost in service.raised] == [None]
    finally:
        gc.enable()
