"""auth-api: logs players in, and asks character-api for their characters.

Only the lines with `eco2_tracing` names concern tracing. The environment decides where spans are exported,
how many are kept and which headers are propagated.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Before FastAPI: a bad OTEL_PROPAGATORS cannot stop the service then.
from eco2_tracing import bind_log_fields, configure_logging, configure_tracing, instrument_app, traced

# isort: split
import httpx
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

configure_logging()
configure_tracing(service_name="auth-api", service_version="1.2.0")

log = logging.getLogger(__name__)
CHARACTER_API_URL = os.environ.get("CHARACTER_API_URL", "http://127.0.0.1:8001")


class Login(BaseModel):
    user_id: str
    provider: str = "kakao"


class TokenStoreError(Exception):
    """The store of refresh tokens cannot be reached."""


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    async with httpx.AsyncClient(base_url=CHARACTER_API_URL, timeout=5) as client:
        yield {"characters": client}


app = FastAPI(title="auth-api", lifespan=lifespan)
instrument_app(app)


@traced("verify credentials")
def verify(login: Login) -> None:
    if login.provider not in {"google", "kakao", "naver"}:
        raise HTTPException(400, f"unknown provider {login.provider}")


@app.post("/api/v1/auth/login")
async def log_in(login: Login, request: Request) -> dict[str, str]:
    bind_log_fields(user_id=login.user_id, provider=login.provider)
    verify(login)
    response = await request.state.characters.get(f"/api/v1/characters/{login.user_id}")
    response.raise_for_status()
    character = response.json()["name"]
    log.info("User login successful")
    return {"user_id": login.user_id, "character": character}


@app.get("/api/v1/auth/users/{user_id}")
async def profile(user_id: str, request: Request) -> dict[str, object]:
    """A failure behind this route is no failure of the route: it answers without the badges."""
    bind_log_fields(user_id=user_id)
    response = await request.state.characters.get(f"/api/v1/characters/{user_id}/badges")
    if response.is_error:
        log.warning("No badges: character-api answered %d", response.status_code)
    return {"user_id": user_id, "badges": [] if response.is_error else response.json()}


@app.post("/api/v1/auth/refresh")
async def refresh() -> dict[str, str]:
    log.info("Refreshing a session")
    raise TokenStoreError("no connection to the token store")


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/health-records")
async def health_records() -> list[str]:
    """Business, in spite of its name: unlike /health it is traced."""
    log.info("Listing health records")
    return ["2026-01", "2026-02"]
