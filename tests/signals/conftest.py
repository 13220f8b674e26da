"""A collector of all signals, and an application that is configured by the environment."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.testclient import TestClient

from eco2_tracing import configure_tracing, instrument_app, record_metric
from eco2_tracing._compat.api import forget_global_logger_provider, forget_global_meter_provider
from eco2_tracing.logs import reset_logging
from tests.support.signals import Received, collector


@pytest.fixture(scope="module")
def shared_collector() -> Iterator[Received]:
    """One collector for the tests of a module."""
    with collector() as received:
        yield received


@pytest.fixture
def received(shared_collector) -> Received:
    """The collector, without what earlier tests have sent."""
    shared_collector.requests.clear()
    shared_collector.peers.clear()
    shared_collector.answer = lambda _signal: b""
    return shared_collector


@pytest.fixture
def configure(monkeypatch, received) -> Iterator[Callable[..., bool]]:
    """Configure tracing with variables; both signals are exported to the collector."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": received.grpc_endpoint,
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
    }

    def run(service: str = "shop", **changed: str) -> bool:
        for name, value in (variables | changed).items():
            monkeypatch.setenv(name, value)
        return configure_tracing(service)

    yield run
    reset_logging()


@pytest.fixture
def free_providers() -> Iterator[None]:
    """Let the test set global providers, and take them away afterwards."""
    yield
    forget_global_meter_provider()
    forget_global_logger_provider()


def make_app() -> FastAPI:
    """An application with an included router and a mounted application, instrumented."""
    app, inner, router = FastAPI(), FastAPI(), APIRouter()

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        logging.getLogger("shop").warning("sold %s", item_id)
        record_metric("items.sold", 1, {"kind": "tea"})
        return {"id": item_id}

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("no such luck")

    @app.get("/raised/{code}")
    async def raised(code: int) -> None:
        raise HTTPException(code)

    @app.get("/call")
    async def call() -> int:
        transport = httpx.MockTransport(lambda _request: httpx.Response(503))
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get("http://stock.svc:8080/x")).status_code

    @router.get("/orders/{order_id}")
    async def order(order_id: int) -> dict[str, int]:
        return {"id": order_id}

    @inner.get("/parts/{part}")
    async def part(part: str) -> dict[str, str]:
        return {"part": part}

    app.include_router(router, prefix="/v1")
    app.mount("/inner/{tenant}", inner)
    instrument_app(app)
    return app


@pytest.fixture
def client() -> TestClient:
    """A client of a new application."""
    return TestClient(make_app(), raise_server_exceptions=False)


UNSAMPLED = {"x-b3-traceid": "8" * 32, "x-b3-spanid": "9" * 16, "x-b3-sampled": "0"}
SAMPLED = {**UNSAMPLED, "x-b3-sampled": "1"}
