"""shop-page: serves the page, with the trace context of its request in a meta element."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from string import Template

from eco2_tracing import configure_logging, configure_tracing, instrument_app

# isort: split
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

configure_logging()
configure_tracing(service_name="shop-page", service_version="1.0.0")

HERE = Path(__file__).parent
INDEX = Template((HERE / "index.html").read_text())
# Origins as the browser sees them.
COLLECTOR = os.environ.get("COLLECTOR_ORIGIN", "http://localhost:4318")
API = os.environ.get("API_ORIGIN", "http://localhost:8001")

app = FastAPI(title="shop-page")
# A browser requests scripts without trace headers: each would be a trace of its own.
instrument_app(app, excluded_paths=["health", "/static"])
app.mount("/static", StaticFiles(directory=HERE / "static"))


@app.get("/", response_class=HTMLResponse)
async def index() -> str:
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)  # the page reads W3C, whatever OTEL_PROPAGATORS says
    return INDEX.substitute(
        traceparent=escape(headers.get("traceparent", "")), collector=escape(COLLECTOR), api=escape(API)
    )
