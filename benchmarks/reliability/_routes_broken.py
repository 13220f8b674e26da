"""Routes without error handling for requests that their sender breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.reliability._service import MODE
from fastapi import Request, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, StreamingResponse

PARTS, PAUSE_S = 40, 0.01


class Order(BaseModel):
    """A body."""

    item: int


class DecodeError(Exception):
    """An exception without the undecodable text, like those of msgspec and other decoders."""


def decoded(text: str) -> Any:
    """Decode JSON like such a decoder."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise DecodeError(str(error)) from None


def add(app: Any) -> None:
    """Add the routes."""
    _add_requests(app)
    _add_sockets(app)
    _add_failures(app)
    if MODE == "ours":
        _add_spans(app)


def _add_requests(app: Any) -> None:
    @app.post("/read")
    async def read(request: Request) -> int:
        return len(await request.body())

    @app.middleware("http")
    async def apologize(request: Request, call_next: Any) -> Response:
        if not request.url.path.startswith("/apologizes"):
            return await call_next(request)
        try:
            return await call_next(request)
        except Exception:  # noqa: BLE001 - as services do
            return PlainTextResponse("sorry", 500)

    @app.post("/apologizes/read")
    async def apologizes(request: Request) -> int:
        return len(await request.body())

    @app.post("/apologizes/fails")
    async def apologizes_for_itself(request: Request) -> int:
        await request.body()
        raise LookupError("no such item")

    @app.post("/read-stream")
    async def read_stream(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    @app.post("/read-json")
    async def read_json(request: Request) -> Any:
        return await request.json()

    @app.post("/model")
    async def model(order: Order) -> int:
        return order.item

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(PARTS):
            yield bytes(10_000)
            await asyncio.sleep(PAUSE_S)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(parts())

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for part in parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    app.mount("/raw", raw)


def _add_sockets(app: Any) -> None:
    async def echo(socket: WebSocket) -> None:
        while True:
            await socket.send_text(await socket.receive_text())

    @app.websocket("/echo")
    async def open_echo(socket: WebSocket) -> None:
        await socket.accept()
        await echo(socket)

    @app.websocket("/echo-in-group")
    async def echo_in_group(socket: WebSocket) -> None:
        await socket.accept()
        async with asyncio.TaskGroup() as group:
            group.create_task(echo(socket))
            group.create_task(asyncio.sleep(60))

    @app.websocket("/push")
    async def push(socket: WebSocket) -> None:
        await socket.accept()
        for _ in range(PARTS):
            await socket.send_text("x" * 10_000)
            await asyncio.sleep(PAUSE_S)

    @app.websocket("/closes")
    async def closes(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await echo(socket)
        finally:
            await socket.close()

    @app.websocket("/listens")
    async def listens(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.receive()

    @app.websocket("/talks")
    async def talks(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            try:
                await echo(socket)
            except WebSocketDisconnect:
                await socket.send_text("bye")

    _add_readers(app)


def _add_readers(app: Any) -> None:
    @app.websocket("/json")
    async def reads_json(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_json()

    @app.websocket("/text")
    async def reads_text(socket: WebSocket) -> None:
        await socket.accept()
        if await socket.receive_text() is None:  # hypercorn has both keys
            await socket.receive_text()

    @app.websocket("/loads")
    async def loads(socket: WebSocket) -> None:
        await socket.accept()
        json.loads(await socket.receive_text())

    @app.websocket("/decodes")
    async def decodes(socket: WebSocket) -> None:
        await socket.accept()
        decoded(await socket.receive_text())

    @app.websocket("/validates")
    async def validates(socket: WebSocket) -> None:
        await socket.accept()
        Order.model_validate_json(await socket.receive_text())


def _add_failures(app: Any) -> None:
    """Failures of the application itself."""

    @app.websocket("/fails-after-the-end")
    async def fails_after_the_end(socket: WebSocket) -> None:
        await socket.accept()
        try:
            await socket.receive_text()
        except WebSocketDisconnect:
            raise LookupError("no such session")  # noqa: B904 - what is tried: it was not raised from the end

    @app.websocket("/raises-the-end")
    async def raises_the_end(socket: WebSocket) -> None:
        await socket.accept()
        raise WebSocketDisconnect(1000)

    @app.websocket("/decodes-its-own")
    async def decodes_its_own(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        json.loads('{"from the database": ')

    @app.websocket("/decodes-its-own-with-another")
    async def decodes_its_own_with_another(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        decoded('{"from the database": ')

    @app.get("/disconnected-database")
    async def disconnected_database() -> None:
        raise ConnectionResetError("the database is gone")


def _add_spans(app: Any) -> None:
    import eco2_tracing

    @app.websocket("/echo-in-span")
    async def echo_in_span(socket: WebSocket) -> None:
        await socket.accept()
        with eco2_tracing.span("echo"):
            while True:
                await socket.send_text(await socket.receive_text())

    @app.post("/read-in-span")
    async def read_in_span(request: Request) -> int:
        with eco2_tracing.span("read"):
            return len(await request.body())
