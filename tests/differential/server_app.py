"""A FastAPI application with every kind of route that is compared."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.applications import Starlette
from starlette.routing import Mount, Route


class TeapotError(Exception):
    """An error that the application handles with status 418."""


def _broken_dependency() -> None:
    raise LookupError("no such tenant")


def _fail() -> None:
    raise OSError("mail server gone")


def _work() -> None:
    """A background task that does nothing."""


async def _chunks() -> AsyncIterator[str]:
    yield "one"
    yield "two"


async def _broken_chunks() -> AsyncIterator[str]:
    yield "one"
    raise ValueError("stream broke")


async def _events() -> AsyncIterator[str]:
    yield "data: 1\n\n"
    yield "data: 2\n\n"


def _responses(app: FastAPI) -> None:
    @app.get("/plain")
    async def plain() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/sync")
    def sync() -> dict[str, str]:
        return {"hello": "thread"}

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    @app.get("/files/{path:path}")
    async def file(path: str) -> dict[str, str]:
        return {"path": path}

    @app.get("/café/{name}")
    async def unicode_path(name: str) -> dict[str, str]:
        return {"name": name}

    @app.api_route("/many", methods=["GET", "HEAD", "OPTIONS", "BREW"], include_in_schema=False)
    async def many() -> PlainTextResponse:
        return PlainTextResponse("")

    @app.get("/slash/")
    async def slash() -> dict[str, str]:
        return {}

    @app.get("/headers")
    async def headers() -> PlainTextResponse:
        response = PlainTextResponse("ok")
        response.headers.append("X-Reply", "one")
        response.headers.append("X-Reply", "two")
        response.headers["X-Secret-Reply"] = "hidden"
        return response


def _failures(app: FastAPI) -> None:
    @app.get("/returned/{code}")
    async def returned(code: int) -> JSONResponse:
        return JSONResponse({}, status_code=code)

    @app.get("/raised/{code}")
    async def raised(code: int) -> None:
        raise HTTPException(code, "asked for")

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("boom")

    @app.get("/sync-boom")
    def sync_boom() -> None:
        raise RuntimeError("boom in a thread")

    @app.get("/teapot")
    async def teapot() -> None:
        raise TeapotError("short and stout")

    @app.get("/dependency", dependencies=[Depends(_broken_dependency)])
    async def dependency() -> None:
        """Never called."""

    @app.exception_handler(TeapotError)
    async def on_teapot(request: Request, exc: Exception) -> JSONResponse:
        return JSONResponse({"error": str(exc)}, status_code=418)


def _streams(app: FastAPI) -> None:
    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(_chunks(), media_type="text/plain")

    @app.get("/stream-boom")
    async def stream_boom() -> StreamingResponse:
        return StreamingResponse(_broken_chunks(), media_type="text/plain")

    @app.get("/events")
    async def events() -> StreamingResponse:
        return StreamingResponse(_events(), media_type="text/event-stream")

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(_work)
        return {}

    @app.get("/background-boom")
    async def background_boom(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(_fail)
        return {}


def _sockets(app: FastAPI) -> None:
    @app.websocket("/ws/{room}")
    async def echo(socket: WebSocket, room: str) -> None:
        await socket.accept()
        await socket.send_text(await socket.receive_text())
        await socket.close()

    @app.websocket("/ws-loop")
    async def loop(socket: WebSocket) -> None:
        await socket.accept()
        while True:
            await socket.send_text(await socket.receive_text())

    @app.websocket("/ws-denied")
    async def denied(socket: WebSocket) -> None:
        await socket.close(1008)

    @app.websocket("/ws-refused")
    async def refused(socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("no", status_code=401))

    @app.websocket("/ws-boom")
    async def boom(socket: WebSocket) -> None:
        await socket.accept()
        raise RuntimeError("socket boom")


def _routers(app: FastAPI) -> None:
    inner = APIRouter(prefix="/inner")
    outer = APIRouter(prefix="/outer/{owner}")

    @inner.get("/items/{item_id}")
    async def inner_item(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    @inner.get("/boom")
    async def inner_boom() -> None:
        raise RuntimeError("boom in a router")

    outer.include_router(inner)
    app.include_router(outer, prefix="/api/v1")


def _mounts(app: FastAPI) -> None:
    tenant = FastAPI()

    @tenant.get("/items/{item_id}")
    async def tenant_item(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    @tenant.get("/boom")
    async def tenant_boom() -> None:
        raise RuntimeError("boom in a mount")

    async def star(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["name"])

    plain = Starlette(
        routes=[Route("/stars/{name}", star), Mount("/deep", routes=[Route("/stars/{name}", star)])]
    )
    app.mount("/tenants/{tenant}", tenant)
    app.mount("/starlette", plain)


def build_app() -> FastAPI:
    """The application, without tracing."""
    app = FastAPI()
    for part in (_responses, _failures, _streams, _sockets, _routers, _mounts):
        part(app)
    return app
