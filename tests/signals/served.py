"""A service that measures and logs, for the tests that run real servers."""

from __future__ import annotations

import logging
import os

from eco2_tracing import configure_logging, configure_tracing, instrument_app, record_metric

configure_logging()
configure_tracing(service_name="served")
record_metric("started", 1)

from fastapi import FastAPI  # noqa: E402 - after eco2_tracing, as the README says

app = FastAPI()
instrument_app(app)


@app.get("/work/{item}")
async def work(item: int) -> int:
    """Return the process id."""
    record_metric("worked", 1)
    logging.getLogger("work").info("item %s", item)
    return os.getpid()
