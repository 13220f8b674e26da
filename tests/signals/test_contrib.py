"""The metrics and log records of contrib for the same requests and lines."""

from __future__ import annotations

import logging

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from eco2_tracing import configure_logging, flush_tracing, instrument_app
from eco2_tracing._compat.contrib import stable_semconv
from tests.support.signals import attributes

PATHS = ["/items/1", "/items/2", "/boom", "/raised/404", "/raised/503", "/nope"]


def make_app() -> FastAPI:
    """An application, not instrumented."""
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def item(item_id: int) -> int:
        return item_id

    @app.get("/boom")
    async def boom() -> None:
        raise ValueError("no such luck")

    @app.get("/raised/{code}")
    async def raised(code: int) -> None:
        raise HTTPException(code)

    return app


def send(app: FastAPI) -> None:
    """The requests of the comparison."""
    client = TestClient(app, raise_server_exceptions=False)
    for path in PATHS:
        client.get(path)
    client.request("BREW", "/items/1")


def call(client: httpx.Client, address: str) -> None:
    """The calls of the comparison."""
    client.get(address)
    client.post(f"{address}/v1/nothing", content=b"")


def series(points) -> dict[frozenset, int]:
    """The counts by attributes."""
    return {frozenset(found.items()): count for found, count in points}


def of_reader(reader: InMemoryMetricReader) -> dict:
    """Name, unit, buckets and counts of what contrib has recorded."""
    data = reader.get_metrics_data()
    return {
        metric.name: (
            metric.unit,
            tuple(getattr(metric.data.data_points[0], "explicit_bounds", ())),
            series(
                (point.attributes, point.count if hasattr(point, "count") else point.value)
                for point in metric.data.data_points
            ),
        )
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def of_collector(received, name: str) -> tuple:
    """The same of what we have sent."""
    points = received.points(name)
    return (
        received.metric(name).unit,
        tuple(getattr(points[0][1], "explicit_bounds", ())),
        series((found, point.count if hasattr(point, "count") else point.as_int) for found, point in points),
    )


def without_error(found: tuple, exception: str) -> tuple:
    """A series of a class of exceptions, named by its status as contrib does."""
    unit, bounds, counts = found
    return (
        unit,
        bounds,
        {
            frozenset(
                ("error.type", "500") if pair == ("error.type", exception) else pair for pair in key
            ): count
            for key, count in counts.items()
        },
    )


def test_requests(configure, received):
    """Names, units, buckets, attributes and counts are equal, but for the class of an exception."""
    stable_semconv()
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource({}), shutdown_on_exit=False)
    theirs = make_app()
    FastAPIInstrumentor.instrument_app(theirs, meter_provider=provider, exclude_spans=["send", "receive"])
    if hasattr(theirs, "_telemetry"):
        theirs._telemetry.update(metrics=False, tracing=False)
    send(theirs)
    configure()
    ours = make_app()
    instrument_app(ours)
    send(ours)
    assert flush_tracing()
    expected = of_reader(reader)
    for name in ("http.server.request.duration", "http.server.active_requests"):
        assert without_error(of_collector(received, name), "ValueError") == expected[name]


@pytest.mark.parametrize("kind", [httpx.Client])
def test_calls(configure, received, kind):
    """The same for calls that get a response."""
    stable_semconv()
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource({}), shutdown_on_exit=False)
    with kind() as client:
        HTTPXClientInstrumentor.instrument_client(client, meter_provider=provider)
        call(client, received.http_endpoint)
    configure(OTEL_EXPORTER_OTLP_ENDPOINT=received.grpc_endpoint)
    with kind() as client:
        call(client, received.http_endpoint)
    assert flush_tracing()
    name = "http.client.request.duration"
    assert of_collector(received, name) == of_reader(reader)[name]


def log(name: str) -> None:
    """The lines of the comparison."""
    logger = logging.getLogger(name)
    logger.info("plain %s", 1)
    logger.warning("with fields", extra={"order.id": 7})
    try:
        raise KeyError("lost")
    except KeyError:
        logger.exception("failed")


def test_log_records(configure, received):
    """Body, severity, scope, place and the type of an exception are equal; the others are in the page."""
    handlers = pytest.importorskip("opentelemetry.instrumentation.logging.handler")
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    configure_logging()
    configure()
    handler = handlers.LoggingHandler(logger_provider=provider, log_code_attributes=True)
    logging.getLogger("compared").addHandler(handler)
    try:
        log("compared")
    finally:
        logging.getLogger("compared").removeHandler(handler)
    assert flush_tracing()
    ours = [
        (name, record.body.string_value, record.severity_text, record.severity_number, record.time_unix_nano,
         equal(attributes(record.attributes)))
        for name, record, _ in received.log_records()
        if name == "compared"
    ]  # fmt: skip
    theirs = [
        (one.instrumentation_scope.name, one.log_record.body, one.log_record.severity_text,
         one.log_record.severity_number.value, one.log_record.timestamp, equal(one.log_record.attributes))
        for one in exporter.get_finished_logs()
    ]  # fmt: skip
    assert ours == theirs
    assert len(ours) == 3


def equal(found) -> dict:
    """The attributes that must be equal."""
    names = {"code.file.path", "code.function.name", "code.line.number", "exception.type", "order.id"}
    return {name: value for name, value in found.items() if name in names}
