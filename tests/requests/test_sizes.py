"""Sizes of bodies on server spans: from `content-length`, otherwise counted."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry.trace import SpanKind
from starlette.middleware.gzip import GZipMiddleware

import eco2_tracing
from eco2_tracing.testing import CapturedSpans, b3_headers

REQUEST, RESPONSE = "http.request.body.size", "http.response.body.size"
PARTS = (b"abc", b"", b"defgh")


def streamed():
    yield from PARTS


async def handle(request: Request) -> Response:
    """Answer in the way that the query names."""
    query = request.query_params
    if "read" in query:
        await request.body()
    how = query.get("how", "")
    if how == "stream":
        return StreamingResponse(streamed())
    if how == "file":
        return FileResponse(__file__)
    if how == "boom":
        raise ValueError("no such luck")
    if how == "large":
        return PlainTextResponse("x" * 5000)
    return Response(b"tea" if "tea" in query else b"", int(query.get("status", 200)))


class Shop:
    """A traced application and what it exports."""

    def __init__(self, capture: str | None = "sizes", **settings) -> None:
        self.captured = CapturedSpans()
        if capture is not None:
            settings["capture"] = capture
        settings = eco2_tracing.TracingSettings(traces_exporter=("none",), **settings)
        eco2_tracing.configure_tracing(settings=settings, span_processors=(self.captured,))
        self.app = FastAPI()
        self.app.add_route("/x", handle, methods=["GET", "HEAD", "POST"])
        eco2_tracing.instrument_app(self.app)

    def sizes(self, method="GET", query="", **options):
        """Make one request; give the sizes of its bodies on its span."""
        client = TestClient(self.app, raise_server_exceptions=False)
        client.request(method, f"/x?{query}", **options)
        (served,) = self.captured.find(kind=SpanKind.SERVER)
        self.captured.clear()
        return served.attributes.get(REQUEST), served.attributes.get(RESPONSE)


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("tea=1", 3),
        ("", 0),
        ("how=stream", 8),
        ("how=large", 5000),
        ("status=204", None),
        ("status=304", None),
        ("how=boom", len("Internal Server Error")),
    ],
)
def test_responses(query, size):
    """A response has its `content-length`, a stream what was sent, and a status without a body nothing."""
    assert Shop().sizes("GET", query) == (None, size)


def test_a_response_to_head():
    """It has no body, whatever its `content-length` is."""
    assert Shop().sizes("HEAD", "tea=1") == (None, None)


@pytest.mark.parametrize("reads", ["read=1", ""])
@pytest.mark.parametrize(("content", "is_counted"), [(b"12345", False), (streamed, True)])
def test_requests(content, is_counted, reads):
    """A request has its `content-length`; a body without it is counted where the application reads it."""
    given = content() if is_counted else content
    size, _ = Shop().sizes("POST", reads, content=given)
    assert size == (5 if not is_counted else 8 if reads else None)


def test_a_request_without_a_body():
    """There is no size where there is no body."""
    shop = Shop()
    assert shop.sizes("POST", "read=1", headers={"content-length": "x"})[0] is None
    assert shop.sizes("POST", "read=1", content=iter([b""]))[0] is None


def test_a_compressed_response():
    """The size is that of what is sent."""
    shop = Shop()
    shop.app.add_middleware(GZipMiddleware, minimum_size=1)
    expected = len(gzip.compress(b"x" * 5000, 9))
    assert abs(shop.sizes("GET", "how=large")[1] - expected) < 32


def test_a_file_that_the_server_sends():
    """A server with `http.response.pathsend` reads the file itself: the size is that of `content-length`."""
    shop = Shop()
    sent = []

    async def exchange():
        messages = [{"type": "http.request", "body": b"", "more_body": False}]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/x",
            "query_string": b"how=file",
            "headers": iter([(b"host", b"shop")]),
            "extensions": {"http.response.pathsend": {}},
        }

        async def receive():
            return messages.pop()

        async def send(message):
            sent.append(message["type"])

        await shop.app(scope, receive, send)

    asyncio.run(exchange())
    assert "http.response.pathsend" in sent
    (served,) = shop.captured.find(kind=SpanKind.SERVER)
    assert served.attributes[RESPONSE] == Path(__file__).stat().st_size


def test_a_kept_request_that_was_not_sampled():
    """A failed request of an unsampled trace has its sizes too."""
    shop = Shop()
    found = shop.sizes("POST", "how=boom&read=1", content=streamed(), headers=b3_headers(sampled=False))
    assert found == (8, len("Internal Server Error"))


def test_websockets():
    """A connection has no sizes."""
    shop = Shop()

    @shop.app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    with TestClient(shop.app).websocket_connect("/ws") as connection:
        connection.send_text("tea")
        assert connection.receive_text() == "tea"
    (served,) = shop.captured.find(kind=SpanKind.SERVER)
    assert {REQUEST, RESPONSE}.isdisjoint(served.attributes)


@pytest.mark.parametrize("capture", [None, "rows"])
def test_without_sizes(capture):
    """By default no span has a size."""
    assert Shop(capture).sizes("POST", "tea=1", content=b"12345") == (None, None)


def test_bodies_are_not_changed():
    """The application gets each message, and the client each part, as without tracing."""
    shop = Shop()
    seen = []

    @shop.app.post("/echo")
    async def echo(request: Request) -> StreamingResponse:
        parts = [part async for part in request.stream()]
        seen.append(b"".join(parts))
        return StreamingResponse(iter(parts))

    assert TestClient(shop.app).post("/echo", content=streamed()).content == b"abcdefgh"
    assert seen == [b"abcdefgh"]


def test_malformed_messages_reach_the_server():
    """A message that ASGI does not allow is the server's business; nothing of ours is raised."""
    shop = Shop()
    outcomes = []

    async def broken(_scope, receive, send):
        assert [await receive(), await receive()] == [{"type": "http.request", "body": None}, None]
        await send({"type": "http.response.start", "status": 200, "headers": [7]})
        await send({"type": "http.response.body", "body": None})

    shop.app.mount("/broken", broken)

    async def exchange():
        messages = [None, {"type": "http.request", "body": None}]

        async def receive():
            return messages.pop()

        async def send(message):
            outcomes.append(message)

        scope = {"type": "http", "method": "POST", "path": "/broken/", "query_string": b"", "headers": []}
        await shop.app(scope, receive, send)

    asyncio.run(exchange())
    assert [message["headers"] for message in outcomes[:1]] == [[7]]
    (served,) = shop.captured.find(kind=SpanKind.SERVER)
    assert {REQUEST, RESPONSE}.isdisjoint(served.attributes)
