"""An application with one route for each kind of request."""

from __future__ import annotations

import asyncio
import logging

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.routing import Mount, Route

import eco2_tracing


def fail_later() -> None:
    """A background task that fails."""
    raise OSError("mail server gone")


def make_app() -> FastAPI:
    """The application, not instrumented."""
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, str | None]:
        logging.getLogger("shop").info("item %s", item_id)
        return {"trace": eco2_tracing.current_trace_id(), "span": eco2_tracing.current_span_id()}

    @app.get("/sync/{item_id}")
    def sync_item(item_id: int) -> dict[str, str | None]:
        return {"trace": eco2_tracing.current_trace_id()}

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("no such luck")

    @app.get("/status/{code}")
    async def status(code: int) -> JSONResponse:
        return JSONResponse({}, code)

    @app.get("/raised/{code}")
    async def raised(code: int) -> None:
        raise HTTPException(code)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts():
            for number in range(3):
                await asyncio.sleep(0)
                yield f"{number}"

        return StreamingResponse(parts())

    @app.get("/stream-boom")
    async def stream_boom() -> StreamingResponse:
        async def parts():
            yield "first"
            raise ValueError("stream broke")

        return StreamingResponse(parts())

    @app.get("/events")
    async def events() -> StreamingResponse:
        async def parts():
            yield "data: 1\n\n"

        return StreamingResponse(parts(), media_type="text/event-stream")

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(len, "")
        return {}

    @app.get("/background-boom")
    async def background_boom(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(fail_later)
        return {}

    def broken() -> None:
        raise LookupError("dependency")

    @app.get("/dependency", dependencies=[Depends(broken)])
    async def dependency() -> None: ...

    @app.websocket("/ws/{room}")
    async def socket(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        text = await websocket.receive_text()
        if text == "boom":
            raise ValueError("socket boom")
        await websocket.send_text(text)
        await websocket.close()

    for path in ("/health", "/health/db", "/health-records", "/api/v1/ready", "/patients/1/health"):
        app.get(path)(item_trace)
    add_parts(app)
    return app


async def item_trace() -> dict[str, str | None]:
    """Return the current trace and span id."""
    return {"trace": eco2_tracing.current_trace_id(), "span": eco2_tracing.current_span_id()}


def add_parts(app: FastAPI) -> None:
    """Add included routers and mounts."""
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer/{owner}")
    inner.get("/items/{item_id}")(item_trace)
    outer.include_router(inner)
    app.include_router(outer, prefix="/api/v1")
    tenants = FastAPI()
    tenants.get("/items/{item_id}")(item_trace)

    async def star(_request) -> JSONResponse:
        return JSONResponse({})

    app.mount("/tenants/{tenant}", tenants)
    app.mount("/sky", Starlette(routes=[Mount("/deep", routes=[Route("/stars/{star}", star)])]))


@pytest.fixture
def app() -> FastAPI:
    """The application, traced."""
    made = make_app()
    eco2_tracing.instrument_app(made)
    return made


@pytest.fixture
def client(app, captured_spans):
    """An external caller."""
    with TestClient(app, raise_server_exceptions=False) as made:
        yield made
