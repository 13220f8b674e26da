"""What a variant's process does in a round: requests through the ASGI interface, calls, spans."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.cost._app import add_routes, request_headers
from benchmarks.peers import Tracing

if TYPE_CHECKING:
    from fastapi import FastAPI

Params = Mapping[str, Any]
CALLS, SPANS, CHUNKS = 50, 50, 100


@dataclass(frozen=True)
class Workload:
    """One thing to measure.

    Attributes:
        work: Runs once.
        units: How many units of work that is.
    """

    work: Callable[[], object]
    units: int


class Driver:
    """Runs an application as a server does: its lifespan, then requests one after the other."""

    def __init__(self, app: Any, headers: Mapping[str, str], path: str) -> None:
        self._app, self._path = app, path
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        started = asyncio.Event()
        waiting = [{"type": "lifespan.startup"}]

        async def receive() -> dict[str, Any]:
            return waiting.pop() if waiting else await self._loop.create_future()

        async def send(message: dict[str, Any]) -> None:
            started.set()

        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        # It waits for the end of the process.
        self._lifespan = asyncio.ensure_future(self._app(scope, receive, send))
        await started.wait()

    def requests(self, count: int) -> None:
        """Send so many requests."""
        self._loop.run_until_complete(self._requests(count))

    async def _requests(self, count: int) -> None:
        waiting: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            # After the body there is nothing: a streamed response waits for a disconnect.
            return waiting.pop() if waiting else await self._loop.create_future()

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start" and message["status"] != 200:
                raise RuntimeError(message["status"])

        for number in range(count):
            waiting[:] = [{"type": "http.request", "body": b"", "more_body": False}]
            path = self._path.format(number=number)
            scope = {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "server": ("10.0.3.12", 8000),
                "client": ("127.0.0.6", 41231),
                "scheme": "http",
                "root_path": "",
                "method": "GET",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                # Every request has bytes of its own, as from a socket.
                "headers": [
                    (bytes(bytearray(name)), bytes(bytearray(value))) for name, value in self._headers
                ],
                "state": {},
            }
            await self._app(scope, receive, send)


def driver(
    tracing: Tracing, params: Params, routes: Callable[[FastAPI], None], path: str = "/items/{number}"
) -> Driver:
    """Make an application of some routes, traced, and what sends it requests."""
    from fastapi import FastAPI

    app = FastAPI(**tracing.app_options)
    routes(app)
    tracing.instrument(app)
    headers = request_headers(params.get("headers", 21), sampled=params["sampled"])
    return Driver(app, headers, path)


def request(tracing: Tracing, params: Params) -> Workload:
    """A small handler, the last of ``routes`` routes; ``headers`` request headers."""
    drive = driver(tracing, params, lambda app: add_routes(app, params.get("routes", 100)))
    # Enough to fill batches, and not too many where the application itself is slow.
    count = 500 if params.get("routes", 100) <= 100 else 100
    return Workload(lambda: drive.requests(count), count)


class Pool:
    """An httpcore pool that answers every request from memory; what is traced stands above it."""

    def __init__(self, httpx: Any) -> None:
        self._core = importlib.import_module(httpx.__name__.replace("x", "core"))

    async def handle_async_request(self, request: Any) -> Any:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        extensions = {"http_version": b"HTTP/1.1"}
        return self._core.Response(200, headers=headers, content=b"{}", extensions=extensions)


def client_of(module: str) -> Any:
    """Make a client whose calls reach `Pool`."""
    httpx = importlib.import_module(module)
    transport = httpx.AsyncHTTPTransport()
    transport._pool = Pool(httpx)
    return httpx.AsyncClient(transport=transport)


def call(tracing: Tracing, params: Params) -> Workload:
    """Outgoing calls, 50 in a request."""
    client = client_of("httpx")

    def routes(app: FastAPI) -> None:
        @app.get("/calls/{number}")
        async def calls(number: int) -> None:
            for item in range(CALLS):
                await client.get(f"http://stock-api:8000/items/{item}", headers={"authorization": "Bearer x"})

    drive = driver(tracing, params, routes, "/calls/{number}")
    return Workload(lambda: drive.requests(10), 10 * CALLS)


def span(tracing: Tracing, params: Params) -> Workload:
    """Manual spans, ``spans`` in a request; the unit is a span, or a request where ``a_request`` is set."""
    spans = params.get("spans", SPANS)
    open_span = tracing.span or (lambda _name: nullcontext())

    def routes(app: FastAPI) -> None:
        @app.get("/spans/{number}")
        async def work(number: int) -> None:
            for _ in range(spans):
                with open_span("step"):
                    pass

    drive = driver(tracing, params, routes, "/spans/{number}")
    requests = max(1, 1000 // (spans + 1))
    return Workload(lambda: drive.requests(requests), requests * (1 if params.get("a_request") else spans))


def stream(tracing: Tracing, params: Params) -> Workload:
    """A response of 100 chunks; the unit is a response."""

    def routes(app: FastAPI) -> None:
        from fastapi.responses import StreamingResponse

        async def chunks() -> Any:
            for _ in range(CHUNKS):
                yield b"0123456789"

        @app.get("/stream/{number}")
        async def streamed(number: int) -> StreamingResponse:
            return StreamingResponse(chunks())

    drive = driver(tracing, params, routes, "/stream/{number}")
    return Workload(lambda: drive.requests(20), 20)


def full(tracing: Tracing, params: Params) -> Workload:
    """A full-size request: two calls, three database spans and two log lines; the last of 100 routes."""
    client = client_of("httpx")
    database = tracing.database or (lambda _text: nullcontext())
    log = logging.getLogger("shop")
    log.addHandler(logging.StreamHandler(open(os.devnull, "w", encoding="utf-8")))  # noqa: PTH123, SIM115 - for good
    log.propagate = False
    log.setLevel(logging.INFO)

    def routes(app: FastAPI) -> None:
        add_routes(app, 99)

        @app.get("/orders/{number}")
        async def order(number: int) -> dict[str, int]:
            log.info("order %d is read", number)
            with database("SELECT * FROM items WHERE id = %s"):
                pass
            await client.get("http://stock:8000/items/7")
            with database("SELECT * FROM prices WHERE item = %s"):
                pass
            await client.get("http://prices:8000/items/7")
            with database("SELECT * FROM owners WHERE item = %s"):
                pass
            log.info("order %d has %d items", number, 3)
            return {"item": number}

    drive = driver(tracing, params, routes, "/orders/{number}")
    return Workload(lambda: drive.requests(100), 100)


ATTRIBUTES = {f"app.key{number}": f"value {number}" for number in range(8)}


def export(tracing: Tracing, params: Params) -> Workload:
    """Spans with eight attributes through OpenTelemetry's API, as fast as the process ends them."""
    from opentelemetry import trace

    tracer = trace.get_tracer("bench")

    def work() -> None:
        for _ in range(1000):
            with tracer.start_as_current_span("job", attributes=ATTRIBUTES):
                pass

    return Workload(work, 1000)


WORKLOADS = {one.__name__: one for one in (request, call, span, stream, full, export)}
