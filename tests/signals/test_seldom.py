"""What few services do: WebSockets, mounts below a prefix, other providers, retries, exceptions after the end."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from starlette.applications import Starlette
from starlette.routing import Mount

from eco2_tracing import flush_tracing, instrument_app, record_metric, span, tracing_status
from eco2_tracing._compat.api import forget_global_provider
from eco2_tracing._forks import mark
from eco2_tracing._instrumentation.client.measured import MeasuredCall
from eco2_tracing._instrumentation.server import measured
from eco2_tracing._lifecycle import configure as lifecycle
from eco2_tracing.logs import _root
from eco2_tracing.metrics import _endpoint, _health, _prometheus
from eco2_tracing.metrics._meters import meters
from tests.signals.conftest import SAMPLED, make_app
from tests.signals.test_requests import CLIENT, SERVER


def test_a_websocket_is_not_measured(configure, received):
    """The conventions have no metrics for it."""
    configure()
    app = FastAPI()

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    instrument_app(app)
    with TestClient(app).websocket_connect("/socket"):
        pass
    assert flush_tracing()
    assert received.points(SERVER) == []


def test_an_application_below_a_prefix(configure, received):
    """The route of an instrumented application that another one mounts."""
    configure()
    outer = Starlette(routes=[Mount("/api", make_app())])
    assert TestClient(outer).get("/api/items/1").status_code == 200
    assert flush_tracing()
    ((found, _),) = received.points(SERVER)
    assert found["http.route"].endswith("/items/{item_id}")


def test_an_error_of_the_peer(configure, received, client, monkeypatch):
    """A request that the client has ended has no type of an error."""
    configure()
    monkeypatch.setattr(measured, "is_peer_error", lambda *_: True)
    client.get("/boom", headers={"b3": "0"})
    assert flush_tracing()
    ((found, _),) = received.points(SERVER)
    assert found["error.type"] == "500"


class Outer(httpx.BaseTransport):
    """Passes its requests to an inner transport, the second one again."""

    def __init__(self) -> None:
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.inner.handle_request(request).close()
        return self.inner.handle_request(request)


@pytest.mark.parametrize("header", ["0", None])
def test_each_attempt_of_a_retry(configure, received, header):
    """The attempts of a transport that retries are measured one by one, with spans and without."""
    configure(OTEL_TRACES_SAMPLER="always_off" if header else "always_on")
    with httpx.Client(transport=Outer()) as client:
        for _ in range(2):
            client.get(received.http_endpoint)
    assert flush_tracing()
    ((_, point),) = received.points(CLIENT)
    assert point.count == 4


@pytest.fixture
def external_provider():
    """A tracer provider that the application has set."""
    provider = TracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    yield provider
    forget_global_provider()


def test_an_external_tracer_provider(configure, received, client, external_provider):
    """Requests and calls are measured with its spans as exemplars; metrics have the configured resource."""
    configure("other")
    client.get("/items/1", headers=SAMPLED)
    client.get("/call", headers=SAMPLED)
    assert flush_tracing()
    exemplars = [each.trace_id.hex() for _, point in received.points(SERVER) for each in point.exemplars]
    assert set(exemplars) == {"8" * 32}
    assert received.points(CLIENT)
    (message, *_) = received.of("metrics")
    names = [one.value.string_value for one in message.resource_metrics[0].resource.attributes]
    assert "other" in names
    assert tracing_status().spans_sent == 0


def test_other_providers_without_a_flush(configure, client, free_providers):
    """A meter provider without `force_flush` counts as flushed; the handler of logs is not added again."""

    class Odd(metrics.NoOpMeterProvider):
        pass

    metrics.set_meter_provider(Odd())
    _logs.set_logger_provider(LoggerProvider(shutdown_on_exit=False))
    configure(OTEL_TRACES_EXPORTER="none")
    client.get("/items/1")
    assert flush_tracing(0.0)
    assert flush_tracing()


def test_a_provider_that_cannot_be_flushed_in_time(configure, free_providers):
    """The SDK raises where the time is over; nothing was delivered then."""
    provider = MeterProvider(shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    provider.force_flush = lambda _millis: 1 / 0
    configure(OTEL_LOGS_EXPORTER="none", OTEL_TRACES_EXPORTER="none")
    assert not flush_tracing()
    assert not flush_tracing(0.0)


def test_the_ids_of_an_exception(configure, received, client):
    """A line about an exception after its request has the request's ids."""
    configure()
    client_with_errors = TestClient(client.app)
    try:
        client_with_errors.get("/boom", headers=SAMPLED)
    except ValueError:
        logging.getLogger("server").exception("Exception in ASGI application")
    assert flush_tracing()
    ((_, record, _),) = [each for each in received.log_records() if each[0] == "server"]
    assert record.trace_id.hex() == "8" * 32


def test_a_fork_in_c_before_a_measurement(configure, received):
    """It is noticed at the first measurement."""
    configure()
    record_metric("orders", 1)
    mark[0] = 0
    record_metric("orders", 1)
    assert mark[0]
    assert flush_tracing()
    ((_, point),) = received.points("orders")
    assert point.as_int == 1


def test_installed_twice(configure, monkeypatch):
    """The handler is added once; without it `basicConfig` is called as it is."""
    handler = logging.NullHandler()
    root = _root.RootHandler(handler)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    before = logging.basicConfig
    root.install()
    root.install()
    assert logging.getLogger().handlers == [handler]
    logging.getLogger().handlers.clear()
    logging.basicConfig()
    assert handler not in logging.getLogger().handlers
    root.uninstall()
    root.uninstall()
    assert logging.basicConfig is before


def test_parts_that_are_not_used():
    """An endpoint that is not installed opens nothing; requests are not recorded before there are instruments."""
    endpoint = _endpoint.PrometheusEndpoint("localhost", 1, lambda: None)
    endpoint.start()
    endpoint.uninstall()
    health = _health.Health(dict, dict)
    health.exported("traces", 1.0, None)
    collector = _prometheus.MetricsCollector(lambda: None)
    try:
        assert list(collector.collect()) == []
    finally:
        collector.close()
    _prometheus._add_point(SimpleNamespace(), SimpleNamespace(), [])
    assert meters.force_flush()


def test_spans_are_exported_without_an_exporter_by_processors(configure):
    """Processors of the application get the spans."""
    configure(OTEL_TRACES_EXPORTER="none")
    assert not lifecycle._process.tracing.delivery.exports_spans
    with span("work"):
        pass


def test_a_body_that_breaks_off(configure, received):
    """The call was measured when its response began; it is not measured again."""
    configure()

    class Broken(httpx.SyncByteStream):
        def __iter__(self):
            yield b"a"
            raise httpx.ReadError("broken off")

    transport = httpx.MockTransport(lambda _request: httpx.Response(200, stream=Broken()))
    with span("work"), httpx.Client(transport=transport) as client, pytest.raises(httpx.ReadError):
        client.get("http://stock.svc/")
    assert flush_tracing()
    ((found, point),) = received.points(CLIENT)
    assert (found["http.response.status_code"], point.count) == (200, 1)


def test_an_attempt_without_a_span_is_restarted():
    """It is measured as the request of the inner transport."""
    call = MeasuredCall(SimpleNamespace(), httpx.Request("GET", "http://a/"), trace.INVALID_SPAN)
    call.restart(httpx.Request("PUT", "http://b/"))
    assert (call.method, call.url.host) == ("PUT", "b")


def test_a_child_closes_its_copy_of_the_port():
    """The parent goes on serving."""
    closed = []
    _prometheus.Served(SimpleNamespace(server_close=lambda: closed.append(True))).forget()
    assert closed == [True]
