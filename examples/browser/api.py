"""shop-api: called by the page from another origin."""

from __future__ import annotations

import os

from eco2_tracing import configure_logging, configure_tracing, instrument_app

# isort: split
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

configure_logging()
configure_tracing(
    service_name="shop-api",
    service_version="1.0.0",
    # A preflight request has no trace headers, so its span would be a trace of its own.
    before_export=lambda span: span.attributes.get("http.request.method") != "OPTIONS",
)

app = FastAPI(title="shop-api")
instrument_app(app)
app.add_middleware(
    CORSMiddleware,
    allow_origins=[os.environ.get("PAGE_ORIGIN", "http://localhost:8000")],
    # Without these names the browser's preflight fails, and the call with it.
    allow_headers=["traceparent", "tracestate", "baggage"],
)


@app.get("/api/v1/orders/{order_id}")
async def order(order_id: int) -> dict[str, int | str]:
    return {"id": order_id, "item": "tea"}
