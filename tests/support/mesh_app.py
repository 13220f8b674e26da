"""auth-api and character-api in one module; `OTEL_SERVICE_NAME` selects the service."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse

from eco2_tracing import (
    bind_log_fields,
    configure_logging,
    configure_tracing,
    current_trace_id,
    instrument_app,
    span,
)

configure_logging()
configure_tracing()

log = logging.getLogger("mesh")
seen: Counter[str] = Counter()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Connections of the service; databases only if the environment names them."""
    async with AsyncExitStack() as stack:
        url = os.environ.get("CHARACTER_API_URL", "")
        state: dict[str, Any] = {
            "characters": await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=10))
        }
        if "DATABASE_URL" in os.environ:
            import asyncpg

            state["users"] = await asyncpg.connect(os.environ["DATABASE_URL"])
            stack.push_async_callback(state["users"].close)
            await state["users"].execute("CREATE TABLE IF NOT EXISTS logins (user_id text, name text)")
        if "REDIS_URL" in os.environ:
            import redis.asyncio

            state["sessions"] = redis.asyncio.from_url(os.environ["REDIS_URL"])
            stack.push_async_callback(state["sessions"].aclose)
        yield state


app = FastAPI(lifespan=lifespan)
instrument_app(app)


@app.post("/api/v1/auth/login")
async def log_in(request: Request) -> dict[str, str]:
    """A login: another service, the database, the cache."""
    user = (await request.json())["user_id"]
    bind_log_fields(user_id=user)
    state = request.state
    answer = await state.characters.get(f"/api/v1/characters/{user}")
    name = answer.raise_for_status().json()["name"]
    if hasattr(state, "users"):
        await state.users.execute("INSERT INTO logins VALUES ($1, $2)", user, name)
    if hasattr(state, "sessions"):
        await state.sessions.set(f"auth:session:{user}", name)
    log.info("User login successful")
    return {"user_id": user, "name": name}


@app.get("/api/v1/characters/{user_id}")
async def character(user_id: str) -> dict[str, str]:
    """The character of a user."""
    log.info("Character found")
    return {"name": user_id.title()}


@app.get("/flaky/{key}")
async def flaky(key: str) -> str:
    """Fails at the first request."""
    seen[key] += 1
    if seen[key] == 1:
        raise HTTPException(503)
    return key


@app.get("/slow/{key}")
async def slow(key: str, request: Request) -> str:
    """Waits at the first request until the client disconnects."""
    seen[key] += 1
    while seen[key] == 1 and not await request.is_disconnected():
        await asyncio.sleep(0.01)
    return key


@app.get("/hung/{key}")
async def hung(key: str, request: Request) -> str:
    """Waits at every request until the client disconnects."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    return key


@app.get("/broken/{key}")
async def broken(key: str) -> str:
    """Fails at every request."""
    raise LookupError(key)


@app.get("/recovered/{key}")
async def recovered(key: str) -> str:
    """Handles its own failure."""
    with suppress(LookupError), span("look up"):
        raise LookupError(key)
    return key


@app.get("/through/{path:path}")
async def through(path: str, request: Request) -> int:
    """Calls the other service and ignores the result."""
    answer = await request.state.characters.get(f"/{path}")
    log.info("character-api answered")
    return answer.status_code


@app.get("/stumble/{path:path}")
async def stumble(path: str, request: Request) -> int:
    """Handles its own failure, then calls the other service."""
    with suppress(LookupError), span("look up"):
        raise LookupError(path)
    return (await request.state.characters.get(f"/{path}")).status_code


@app.get("/events/{count}")
async def events(count: int) -> StreamingResponse:
    """A stream with a span for each event; it breaks off below zero."""

    async def stream() -> AsyncIterator[str]:
        for number in range(abs(count)):
            with span("event"):
                yield f"data: {number}\n\n"
        if count < 0:
            raise LookupError("nothing more")

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.get("/relay/{count}")
async def relay(count: int, request: Request) -> StreamingResponse:
    """Forwards the other service's stream."""

    async def stream() -> AsyncIterator[str]:
        async with request.state.characters.stream("GET", f"/events/{count}") as answer:
            async for line in answer.aiter_lines():
                yield f"{line}\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.websocket("/ws/{room}")
async def talk(websocket: WebSocket, room: str) -> None:
    """Calls the other service for each message, and returns the trace id."""
    await websocket.accept()
    await websocket.send_text(str(current_trace_id()))
    async for user in websocket.iter_text():
        answer = await websocket.state.characters.get(f"/api/v1/characters/{user}")
        await websocket.send_text(answer.json()["name"])


@app.get("/healthz/{path:path}")
async def health(path: str, request: Request) -> int:
    """Excluded from tracing; a deep check calls the other service."""
    log.info("checked")
    if not path:
        return 200
    return (await request.state.characters.get(f"/healthz/{path.partition('/')[2]}")).status_code
