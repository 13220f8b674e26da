"""A service as a user writes it, for the tests that run real servers; run as a program it serves itself."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eco2_tracing import configure_tracing, instrument_app, span

configure_tracing(service_name="served")

from fastapi import FastAPI  # noqa: E402 - after eco2_tracing, as the README says


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The application's shutdown makes a span."""
    yield
    with span("last words"):
        pass


app = FastAPI(lifespan=lifespan)
instrument_app(app)


@app.get("/work/{item}")
async def work(item: int) -> int:
    """Return the process id."""
    return os.getpid()


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, port=int(sys.argv[1]), lifespan=sys.argv[2])
