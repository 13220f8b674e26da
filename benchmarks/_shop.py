"""Two services that fail in the ways that a request names: ``orders`` calls ``stock``."""

from __future__ import annotations

import asyncio
import os

import httpx
from fastapi import FastAPI, Response

from eco2_tracing import configure_tracing, instrument_app, span, tracing_status

SLOW_S = 0.5


def stock() -> FastAPI:
    """Make the callee: it may answer 500, or fail inside and answer 200 all the same."""
    configure_tracing("stock")
    app = FastAPI()

    @app.get("/stock/{item}")
    async def read(item: int, case: str = "") -> Response:
        try:
            with span("query"):
                await asyncio.sleep(0)
                if case == "callee handles":
                    raise LookupError(item)  # noqa: TRY301 - the failure of a library
        except LookupError:
            return Response("0")
        return Response("1", 500 if case == "callee fails" else 200)

    instrument_app(app)
    return app


def orders() -> FastAPI:
    """Make the caller: it handles what the callee does, and fails by itself."""
    configure_tracing("orders")
    app = FastAPI()
    client = httpx.AsyncClient(base_url=os.environ["STOCK_URL"], timeout=30, trust_env=False)

    @app.get("/orders/{item}")
    async def order(item: int, case: str = "") -> Response:
        try:
            with span("cache"):
                if case == "fails early":
                    raise ConnectionError(item)  # noqa: TRY301 - the failure of a library
        except ConnectionError:
            pass
        told = (await client.get(f"/stock/{item}", params={"case": case})).status_code
        with span("store"):
            await asyncio.sleep(SLOW_S if case == "slow" else 0)
        if case == "raises":
            raise RuntimeError(item)
        return Response(str(told), 503 if case == "answers 503" else 200)

    instrument_app(app)
    return app


def failing() -> FastAPI:
    """Make a service that only fails, in a handler with a span inside; traced unless ``UNTRACED`` is set."""
    app = FastAPI()

    @app.get("/answers")
    async def answers() -> Response:
        with span("work"):
            return Response("out of stock", 503)

    @app.get("/raises")
    async def raises() -> Response:
        with span("work"):
            pass
        raise RuntimeError("out of stock")

    @app.get("/status")
    async def status() -> dict[str, dict[str, int]]:
        found = tracing_status()
        return {"kept": dict(found.traces_kept), "dropped": dict(found.spans_dropped)}

    if not os.environ.get("UNTRACED"):
        configure_tracing("failing")
        instrument_app(app, excluded_paths=["/status"])
    return app
