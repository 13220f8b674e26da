"""auth-api and character-api as their teams write them: one module, and `OTEL_SERVICE_NAME` says which it is."""

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
    """Connections for as long as the service runs; databases only where it is told of them."""
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
    """The way of the seeds: another service, the database, the cache."""
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
    """What the login asks for."""
    log.info("Character found")
    return {"name": user_id.title()}


@app.get("/flaky/{key}")
async def flaky(key: str) -> str:
    """Unavailable the first time."""
    seen[key] += 1
    if seen[key] == 1:
        raise HTTPException(503)
    return key


@app.get("/slow/{key}")
async def slow(key: str, request: Request) -> str:
    """Waits the first time, for as long as anybody listens."""
    seen[key] += 1
    while seen[key] == 1 and not await request.is_disconnected():
        await asyncio.sleep(0.01)
    return key


@app.get("/hung/{key}")
async def hung(key: str, request: Request) -> str:
    """Waits every time, for as long as anybody listens."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.01)
    return key


@app.get("/broken/{key}")
async def broken(key: str) -> str:
    """Fails every time."""
    raise LookupError(key)


@app.get("/recovered/{key}")
async def recovered(key: str) -> str:
    """Fails inside, and answers well."""
    with suppress(LookupError), span("look up"):
        raise LookupError(key)
    return key


@app.get("/through/{path:path}")
async def through(path: str, request: Request) -> int:
    """Asks the other service, and makes light of what it answers."""
    answer = await request.state.characters.get(f"/{path}")
    log.info("character-api answered")
    return answer.status_code


@app.get("/stumble/{path:path}")
async def stumble(path: str, request: Request) -> int:
    """Fails inside, and asks the other service afterwards."""
    with suppress(LookupError), span("look up"):
        raise LookupError(path)
    return (await request.state.characters.get(f"/{path}")).status_code


@app.get("/events/{count}")
async def events(count: int) -> StreamingResponse:
    """A stream with a span for each event; below none it breaks off."""

    async def stream() -> AsyncIterator[str]:
        for number in range(abs(count)):
            with span("event"):
                yield f"data: {number}\n\n"
        if count < 0:
            raise LookupError("nothing more")

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.get("/relay/{count}")
async def relay(count: int, request: Request) -> StreamingResponse:
    """Hands on the other service's stream as it comes."""

    async def stream() -> AsyncIterator[str]:
        async with request.state.characters.stream("GET", f"/events/{count}") as answer:
            async for line in answer.aiter_lines():
                yield f"{line}\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


@app.websocket("/ws/{room}")
async def talk(websocket: WebSocket, room: str) -> None:
    """Asks the other service about each name that it is told, and says in which trace."""
    await websocket.accept()
    await websocket.send_text(str(current_trace_id()))
    async for user in websocket.iter_text():
        answer = await websocket.state.characters.get(f"/api/v1/characters/{user}")
        await websocket.send_text(answer.json()["name"])


@app.get("/healthz/{path:path}")
async def health(path: str, request: Request) -> int:
    """Excluded from tracing; a deep check asks the other service."""
    log.info("checked")
    if not path:
        return 200
    return (await request.state.characters.get(f"/healthz/{path.partition('/')[2]}")).status_code
