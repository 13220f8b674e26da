"""The measured service in a separate process: untraced, with this library, or with the stock set-up.

What it imports, and in which order, is part of what is tried: hence the imports in functions, and
nothing of this library unless it is ``ours``. The environment says what it is (`_processes.environment`):
``RELIABILITY_MODE``, and ``RELIABILITY_ROUTES``, a module whose ``add(app)`` adds a row's own routes.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

MODE = os.environ.get("RELIABILITY_MODE", "bare")
log = logging.getLogger("reliability")


def make_app() -> Any:
    """Make the application, traced as the mode says."""
    app = {"bare": _bare, "ours": _ours, "stock": _stock}[MODE]()
    _add_routes(app)
    if module := os.environ.get("RELIABILITY_ROUTES"):
        importlib.import_module(module).add(app)
    return app


def _bare() -> Any:
    from fastapi import FastAPI

    _log_to_stdout(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    app = FastAPI()
    app.state.flush = lambda: True
    return app


def _ours() -> Any:
    if os.environ.get("RELIABILITY_FIRST") == "fastapi":
        import fastapi  # noqa: F401 - against the documentation, which asks for ours first
    import eco2_tracing  # isort: skip
    from fastapi import FastAPI

    eco2_tracing.configure_logging()
    eco2_tracing.configure_tracing("tried")
    app = FastAPI()
    eco2_tracing.instrument_app(app)
    app.state.flush = lambda: eco2_tracing.flush_tracing(20)
    return app


def _stock() -> Any:
    """As the documentation of OpenTelemetry and of its instrumentations says, with JSON lines and their ids."""
    from fastapi import FastAPI
    from opentelemetry import trace

    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    else:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from pythonjsonlogger.json import JsonFormatter

    _log_to_stdout(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    provider = TracerProvider(resource=Resource.create({"service.name": "tried"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    app = FastAPI()
    FastAPIInstrumentor.instrument_app(app)
    HTTPXClientInstrumentor().instrument()
    HTTPX2ClientInstrumentor().instrument()
    app.state.flush = lambda: provider.force_flush(20_000)
    return app


def _log_to_stdout(formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        server = logging.getLogger(name)
        server.handlers.clear()
        server.propagate = True


def _add_routes(app: Any) -> None:
    """Add what several rows ask for."""

    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"fine": True}

    @app.get("/pid")
    async def pid() -> int:
        return os.getpid()

    @app.get("/jobs/{item}")
    async def work(item: int) -> int:
        return os.getpid()

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("no such luck")

    @app.get("/flush")
    def flush() -> dict[str, bool]:
        return {"flushed": bool(app.state.flush())}


app = make_app()
