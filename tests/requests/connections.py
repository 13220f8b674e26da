"""An application under a real uvicorn, and clients that share a connection between callers."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Self

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, WebSocket
from opentelemetry import baggage, context, propagate
from opentelemetry.instrumentation.utils import suppress_instrumentation

import eco2_tracing
from eco2_tracing.testing import SPAN_ID, TRACE_ID

LIMIT_S = 30.0
# More than uvicorn reads ahead, so that reading is paused and resumed.
BODY = b"x" * 300_000
# The headers of caller A, which no other caller's request may have.
MARKS = (TRACE_ID, "alice")
ALICE = {
    "tracestate": "vendor=alice",
    "baggage": "tenant=alice",
    "x-request-id": "request-of-alice",
}
PARSERS = ("h11", "httptools")

log = logging.getLogger("connections")


def headers_of_alice(sampled: str = "1") -> dict[str, str]:
    """The headers of caller A."""
    ids = {"x-b3-traceid": TRACE_ID, "x-b3-spanid": SPAN_ID, "x-b3-sampled": sampled}
    return {**ids, "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-0{sampled}", **ALICE}


class Seen:
    """The requests received and the calls made, in order.

    Attributes:
        requests: Trace id and baggage, in code.
        calls: The headers of the call that it made.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str | None, dict[str, object]]] = []
        self.calls: list[dict[str, str]] = []


def make_app(seen: Seen) -> FastAPI:
    """The application, not instrumented."""
    app = FastAPI()

    def called(request: httpx.Request) -> httpx.Response:
        # contrib's instrumentation of httpx knows real transports alone.
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        seen.calls.append({**carrier, **request.headers})
        return httpx.Response(200)

    client = httpx.AsyncClient(transport=httpx.MockTransport(called))

    async def note() -> str | None:
        trace_id = eco2_tracing.current_trace_id()
        seen.requests.append((trace_id, dict(baggage.get_all())))
        log.info("served")
        await client.get("http://stock/items")
        return trace_id

    @app.post("/read")
    @app.post("/health/read")
    async def read(request: Request) -> str | None:
        await request.body()
        return await note()

    @app.post("/refuse")
    async def refuse() -> str | None:
        return await note()

    @app.post("/careless")
    async def careless(request: Request) -> str | None:
        """A handler that leaves behind a context, a bound field, and suppressed instrumentation."""
        context.attach(baggage.set_baggage("tenant", "alice"))
        suppress_instrumentation().__enter__()
        eco2_tracing.bind_log_fields(user_id="alice")
        await request.body()
        return None

    @app.get("/item")
    async def item() -> str | None:
        return await note()

    @app.post("/bind")
    async def bind(request: Request) -> None:
        eco2_tracing.bind_log_fields(user_id="alice")
        await request.body()
        await note()

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("no such luck")

    @app.websocket("/socket")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(str(await note()))
        await websocket.close()

    return app


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[int]:
    """Run uvicorn in a thread until the block ends; yields its port."""
    options = {"loop": "asyncio", "log_config": None} | options
    if options.get("http") == "httptools":
        pytest.importorskip("httptools", reason="the parser httptools is not installed")
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, **options))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(LIMIT_S)
        listener.close()
        assert not thread.is_alive()


class Connection:
    """One connection to a server, shared by callers."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._stream: BinaryIO = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *arguments: object) -> None:
        self._stream.close()
        self.socket.close()

    def send(self, *requests: bytes) -> None:
        """Send requests at once."""
        self.socket.sendall(b"".join(requests))

    def answer(self) -> int:
        """Read one response; return its status."""
        status = self._stream.readline()
        length = 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length:
            self._stream.read(length)
        return int(status.split()[1])

    def ask(self, *requests: bytes) -> list[int]:
        """Send requests at once; return the status of each response."""
        self.send(*requests)
        return [self.answer() for _ in requests]


def post(path: str, headers: dict[str, str] | None = None, body: bytes = BODY) -> bytes:
    """Write a request with a body."""
    return _request("POST", path, headers or {}, body)


def get(path: str, headers: dict[str, str] | None = None) -> bytes:
    """Write a request without a body."""
    return _request("GET", path, headers or {}, b"")


def _request(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: tried", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def of_alice(*things: object) -> Sequence[object]:
    """The items that have data of caller A."""
    return [thing for thing in things if any(mark in repr(thing) for mark in MARKS)]
