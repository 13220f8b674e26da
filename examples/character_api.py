"""character-api: knows which character a player plays."""

from __future__ import annotations

import asyncio
import logging

# Before FastAPI: a bad OTEL_PROPAGATORS cannot stop the service then.
from eco2_tracing import bind_log_fields, configure_logging, configure_tracing, instrument_app, span

# isort: split
from fastapi import FastAPI

configure_logging()
configure_tracing(service_name="character-api", service_version="0.8.1")

log = logging.getLogger(__name__)
app = FastAPI(title="character-api")
instrument_app(app)

NAMES = ("Otter", "Crane", "Lynx")


class BadgeLedgerError(Exception):
    """The ledger of badges is broken."""


@app.get("/api/v1/characters/{user_id}")
async def character(user_id: str) -> dict[str, str]:
    bind_log_fields(user_id=user_id)
    with span("load character", attributes={"app.user_id": user_id, "app.cache": "miss"}):
        await asyncio.sleep(0.01)  # stands for a query
        name = NAMES[len(user_id) % len(NAMES)]
    log.info("Character found", extra={"character": name})
    return {"user_id": user_id, "name": name}


@app.get("/api/v1/characters/{user_id}/badges")
async def badges(user_id: str) -> list[str]:
    bind_log_fields(user_id=user_id)
    raise BadgeLedgerError(f"the ledger has no page for {user_id}")


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
