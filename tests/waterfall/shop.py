"""A small service for the tests of waterfalls on real servers."""

from __future__ import annotations

import asyncio
import logging

from eco2_tracing import configure_logging, configure_tracing, instrument_app, span

# isort: split
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.trace import SpanKind

configure_logging()
configure_tracing(service_name="shop")
app = FastAPI()
instrument_app(app)
log = logging.getLogger("shop")
tasks: set[asyncio.Task[None]] = set()


def query(statement: str) -> None:
    """Stand for a database call."""
    attributes = {"db.system.name": "postgresql", "db.query.text": statement}
    with trace.get_tracer("shop").start_as_current_span(
        "SELECT", kind=SpanKind.CLIENT, attributes=attributes
    ):
        pass


@app.get("/characters")
async def characters() -> int:
    """One query for each row."""
    for _ in range(12):
        query("SELECT * FROM characters WHERE id = ?")
    return 12


@app.get("/fail/{number}")
async def fail(number: int) -> None:
    """Log, ask the database and raise."""
    for at in range(20):
        log.info("step %d of request %d", at, number)
        query(f"SELECT {at} FROM requests_{number}")
    raise RuntimeError(f"request {number} failed: password=planted")


@app.get("/later")
async def later() -> str:
    """Go on after the response."""

    async def work() -> None:
        with span("send mail"):
            await asyncio.sleep(0.2)

    task = asyncio.create_task(work())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return "soon"
