"""The exporter `prometheus`, read by the parser of prometheus-client, and exemplars for its own histograms."""

from __future__ import annotations

import socket
import sys
import urllib.request

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from eco2_tracing import (
    ConfigurationError,
    configure_tracing,
    current_exemplar,
    instrument_app,
    record_metric,
    shutdown_tracing,
    span,
    tracing_status,
)
from eco2_tracing.metrics import _endpoint
from tests.signals.conftest import SAMPLED, UNSAMPLED
from tests.support.servers import free_port

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def scrape(port: int, accept: str = OPEN_METRICS) -> str:
    """What Prometheus gets."""
    request = urllib.request.Request(f"http://localhost:{port}/metrics", headers={"accept": accept})
    with urllib.request.urlopen(request) as response:
        return response.read().decode()


def families(text: str):
    """The families by name, as a real parser reads them."""
    return {family.name: family for family in text_string_to_metric_families(text)}


@pytest.fixture
def port(configure) -> int:
    """Export to Prometheus alone, on a free port."""
    free = free_port()
    configure(
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_LOGS_EXPORTER="none",
        OTEL_EXPORTER_PROMETHEUS_PORT=str(free),
    )
    return free


def test_requests(port, client):
    """Durations have buckets and exemplars, active requests are a gauge."""
    client.get("/items/1", headers=SAMPLED)
    client.get("/boom", headers={**UNSAMPLED, "x-b3-traceid": "7" * 32})
    client.get("/call", headers=UNSAMPLED)
    for _ in range(2):  # a second server that scrapes gets the same exemplars
        found = families(scrape(port))
        duration = found["http_server_request_duration_seconds"]
        assert duration.type == "histogram"
        exemplars = {
            sample.labels["http_route"]: sample.exemplar.labels
            for sample in duration.samples
            if sample.exemplar is not None
        }
        assert exemplars["/items/{item_id}"]["trace_id"] == "8" * 32
        assert exemplars["/boom"]["trace_id"] == "7" * 32
        assert len(exemplars["/boom"]["span_id"]) == 16
    counts = {
        sample.labels["http_route"]: sample.value
        for sample in duration.samples
        if sample.name.endswith("_count")
    }
    assert counts == {"/items/{item_id}": 1, "/boom": 1, "/call": 1}
    assert found["http_server_active_requests"].type == "gauge"
    ((client_count,),) = [
        [
            sample.value
            for sample in found["http_client_request_duration_seconds"].samples
            if "_count" in sample.name
        ]
    ]
    assert client_count == 1
    (target,) = found["target"].samples
    assert target.labels["service_name"] == "shop"
    assert "# {" not in scrape(port, "text/plain")


def test_names_and_units(port):
    """Names, units and labels follow the specification."""
    for name, kind, unit in [
        ("orders", "counter", ""),
        ("sent_total", "counter", "By"),
        ("load", "gauge", "1"),
        ("speed", "gauge", "m/s"),
        ("rate", "gauge", "{request}/min"),
        ("wait.seconds", "histogram", "s"),
        ("a-b/c", "gauge", "furlong"),
        ("share", "gauge", "%"),
    ]:
        record_metric(name, 1, {"a.b": "x", "a-b": "y", "1st": True}, kind=kind, unit=unit)
    found = families(scrape(port))
    assert {
        "orders",
        "sent_total_bytes",
        "load",
        "speed_meters_per_second",
        "rate_per_minute",
        "wait_seconds",
        "a_b_c_furlong",
        "share_percent",
    } <= {name.replace("sent_bytes", "sent_total_bytes") for name in found}
    (sample,) = found["orders"].samples
    assert sample.name == "orders_total"
    assert sample.labels == {"_1st": "true", "a_b": "y;x", "otel_scope_name": "eco2_tracing.metrics"}
    assert found["wait_seconds"].unit == "seconds"


def test_the_registry_of_the_application(port, client):
    """An existing route of the application has the metrics, too; none is left after the shutdown."""
    client.get("/items/1")
    assert b"http_server_request_duration_seconds_count" in generate_latest()
    assert shutdown_tracing()
    assert b"http_server" not in generate_latest()
    with pytest.raises(OSError):
        scrape(port)


def test_nothing_to_serve(port):
    """Without measurements there are the metrics of the delivery."""
    record_metric("orders", 1)
    assert "eco2_tracing_spans_sent" in families(scrape(port))
    assert tracing_status().metrics.endpoints == ()


def test_a_port_in_use(configure, caplog):
    """It is reported once, with what to do; nothing else changes."""
    with socket.create_server(("localhost", 0)) as server:
        taken = server.getsockname()[1]
        configure(OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(taken))
        record_metric("orders", 1)
        record_metric("orders", 1)
    (record,) = [each for each in caplog.records if "cannot be opened" in each.message]
    assert "OTEL_METRICS_EXPORTER=otlp" in record.message
    assert b"orders_total" in generate_latest()


@pytest.mark.parametrize("strict", ["false", "true"])
def test_without_the_package(configure, caplog, monkeypatch, strict):
    """The message names the package and how to install it; other exporters are used."""
    monkeypatch.setattr(_endpoint, "find_spec", lambda _name: None)
    variables = {"OTEL_METRICS_EXPORTER": "prometheus,otlp", "ECO2_TRACING_STRICT": strict}
    if strict == "true":
        with pytest.raises(ConfigurationError, match=r"pip install 'eco2-tracing\[prometheus\]'"):
            configure(**variables)
        return
    configure(**variables)
    assert "pip install 'eco2-tracing[prometheus]'" in caplog.text
    assert len(tracing_status().metrics.endpoints) == 1


def test_current_exemplar(configure, client):
    """There is one in an exported trace, and none elsewhere."""
    assert current_exemplar() is None
    configure()
    assert current_exemplar() is None
    with span("work") as current:
        context = current.get_span_context()
        assert current_exemplar() == {
            "trace_id": f"{context.trace_id:032x}",
            "span_id": f"{context.span_id:016x}",
        }


def recipe() -> tuple[FastAPI, CollectorRegistry]:
    """The recipe of the page on metrics."""
    registry = CollectorRegistry()
    price = Histogram("order_price_eur", "Price", buckets=(10, 100), registry=registry)
    app = FastAPI()

    @app.post("/orders")
    def order(total: float) -> float:
        price.observe(total, exemplar=current_exemplar())
        return total

    @app.get("/metrics")
    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    instrument_app(app)
    return app, registry


def exemplars_of(app: FastAPI) -> list[dict[str, str]]:
    """The exemplars on the application's own page."""
    text = TestClient(app).get("/metrics", headers={"accept": OPEN_METRICS}).text
    samples = families(text)["order_price_eur"].samples
    return [sample.exemplar.labels for sample in samples if sample.exemplar is not None]


def test_own_histograms_of_prometheus_client(configure):
    """A sampled request is an exemplar of the application's own histogram; an unsampled one is not."""
    configure(OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none")
    app, _ = recipe()
    client = TestClient(app)
    client.post("/orders?total=5", headers=UNSAMPLED)
    assert exemplars_of(app) == []
    client.post("/orders?total=50", headers=SAMPLED)
    assert [found["trace_id"] for found in exemplars_of(app)] == ["8" * 32]


@pytest.mark.parametrize("variables", [{"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_no_exemplar_without_export(configure, variables):
    """Where no span leaves the process, a sampled request of the caller is no exemplar."""
    configure(OTEL_METRICS_EXPORTER="none", OTEL_LOGS_EXPORTER="none", **variables)
    app, _ = recipe()
    TestClient(app).post("/orders?total=50", headers=SAMPLED)
    assert exemplars_of(app) == []


def test_metrics_do_not_import_the_client(monkeypatch):
    """prometheus-client is imported by its own exporter alone."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.delitem(sys.modules, "eco2_tracing.metrics._prometheus", raising=False)
    configure_tracing("shop")
    assert "eco2_tracing.metrics._prometheus" not in sys.modules
