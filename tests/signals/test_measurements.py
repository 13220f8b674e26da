"""The application's own measurements: `record_metric`, and meters of the OpenTelemetry API."""

from __future__ import annotations

import logging

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import eco2_tracing
from eco2_tracing import configure_tracing, flush_tracing, record_metric, shutdown_tracing, tracing_status
from tests.signals.conftest import SAMPLED
from tests.support.hostile import Unreadable, UnreadableMapping


def test_kinds(configure, received):
    """Counters add up, histograms have buckets, gauges have the last value."""
    configure()
    record_metric("orders.created", 1, {"channel": "web"})
    record_metric("orders.created", 2, {"channel": "web"})
    record_metric("order.price", 12.5, unit="EUR", kind="histogram")
    record_metric("queue.length", 7, kind="gauge")
    record_metric("queue.length", 5, kind="gauge", attributes=None)
    assert flush_tracing()
    ((attributes, created),) = received.points("orders.created")
    assert (attributes, created.as_int) == ({"channel": "web"}, 3)
    ((_, price),) = received.points("order.price")
    assert (price.count, price.sum, received.metric("order.price").unit) == (1, 12.5, "EUR")
    ((_, length),) = received.points("queue.length")
    assert length.as_int == 5


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"name": "no name!"}, "name takes"),
        ({"name": 5}, "name takes"),
        ({"kind": "summary"}, "kind takes"),
        ({"kind": []}, "kind takes"),
        ({"value": "1"}, "value takes"),
        ({"value": True}, "value takes"),
        ({"value": float("nan")}, "value takes"),
        ({"value": -1}, "kind='gauge' takes"),
        ({"unit": "ü"}, "unit takes"),
    ],
)
def test_wrong_arguments(configure, received, caplog, arguments, found):
    """A wrong argument is reported once, and the measurement is left out."""
    configure()
    caplog.clear()
    for _ in range(2):
        record_metric(**({"name": "orders", "value": 1} | arguments))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert found in caplog.text
    assert flush_tracing()
    assert received.points("orders") == []


def test_attributes_are_clean(configure, received):
    """Secrets are masked, texts are bounded and can be encoded, objects that raise leave no trace."""
    configure()
    record_metric("a", 1, {"password": "hunter2", "note": "password=hunter2 token=abcdefghijk"})
    record_metric("a", 1, {"long": "x" * 5000, "\ud800": "\udfff", 5: "no name"})
    record_metric("a", 1, {"list": ["x", 1, "y" * 5000], "odd": Unreadable()})
    record_metric("a", 1, {f"k{number}": number for number in range(100)})
    record_metric("a", 1, UnreadableMapping(x=1))
    assert flush_tracing()
    found = [attributes for attributes, _ in received.points("a")]
    assert len(found) == 5
    assert found[0]["password"] == "REDACTED"
    assert "hunter2" not in str(found)
    assert "abcdefghijk" not in str(found)
    assert len(found[1]["long"]) <= 1024
    assert set(found[1]) == {"long", "\ufffd"}
    assert found[2]["list"][:2] == ["x", 1]
    assert len(found[3]) == 32
    assert found[4] == {}


def test_few_series_and_instruments(configure, received):
    """Beyond 2 000 sets of attributes measurements are counted together; instruments are limited, too."""
    configure()
    for number in range(2100):
        record_metric("users", 1, {"user": number})
    for number in range(1100):
        record_metric(f"name.{number}", 1)
    assert flush_tracing()
    points = received.points("users")
    assert len(points) == 2000
    assert [point.as_int for found, point in points if found == {"otel.metric.overflow": True}] == [101]
    assert len([name for name in received.metric_names() if name.startswith("name.")]) == 999


def test_off(configure, caplog):
    """Without an exporter nothing is recorded, checked or reported."""
    configure(OTEL_METRICS_EXPORTER="none")
    record_metric("no name!", "nothing")
    assert "record_metric" not in caplog.text
    assert tracing_status().metrics is None


def instruments(meter):
    """One instrument of each kind, as functions that record 1."""
    counter = meter.create_counter("m.counter", "1", "Counts")
    both = meter.create_up_down_counter("m.both")
    histogram = meter.create_histogram("m.histogram", explicit_bucket_boundaries_advisory=[1, 2])
    gauge = meter.create_gauge("m.gauge")

    def callback(_options: CallbackOptions):
        return [Observation(4, {"password": "hunter2"})]

    def generator():
        yield
        while True:
            yield [Observation(5)]

    meter.create_observable_counter("m.seen", [callback])
    meter.create_observable_up_down_counter("m.seen.both", [generator()])
    meter.create_observable_gauge("m.seen.gauge", [callback])
    return [counter.add, both.add, histogram.record, gauge.set]


NAMES = ["m.counter", "m.both", "m.histogram", "m.gauge", "m.seen", "m.seen.both", "m.seen.gauge"]


def test_meters_of_the_api(configure, received):
    """Instruments created before and after the configuration record, also after another configuration."""
    before = instruments(metrics.get_meter("before"))
    configure()
    after = instruments(metrics.get_meter("after", "1.0", attributes={"a": "b"}))
    for record in (*before, *after):
        record(1)
    assert metrics.get_meter_provider().force_flush()
    scopes = {
        scope.scope.name: sorted(metric.name for metric in scope.metrics)
        for message in received.of("metrics")
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
    }
    assert scopes["before"] == scopes["after"] == sorted(NAMES)
    for attributes, point in received.points("m.seen"):
        assert (attributes, point.as_int) == ({"password": "REDACTED"}, 4)
    assert received.metric("m.counter").description == "Counts"
    metrics.get_meter_provider().shutdown()
    assert shutdown_tracing()
    for record in after:
        record(1)
    received.requests.clear()
    configure()
    for record in after:
        record(1)
    assert flush_tracing()
    assert [point.as_int for _, point in received.points("m.counter") if point.as_int] == [1]
    assert received.points("m.seen")


def test_an_instrument_that_cannot_be_created(configure, received, caplog):
    """A name that the SDK refuses does not raise into the application."""
    configure()
    counter = metrics.get_meter("shop").create_counter("no name!")
    counter.add(1)
    assert "creating the instrument" in caplog.text


def test_exemplars_of_measurements(configure, received, client):
    """A measurement in a sampled request is an exemplar."""
    configure()
    client.get("/items/1", headers=SAMPLED)
    assert flush_tracing()
    ((_, point),) = received.points("items.sold")
    assert [each.trace_id.hex() for each in point.exemplars] == ["8" * 32]


def test_health(configure, received, client):
    """The library's own delivery is among the metrics, and in the status."""
    configure()
    client.get("/items/1")
    assert flush_tracing()
    assert flush_tracing()
    ((_, sent),) = received.points("eco2_tracing.spans.sent")
    assert sent.as_int == 1
    ((_, sent),) = received.points("eco2_tracing.log_records.sent")
    assert sent.as_int >= 1
    ((_, queued),) = received.points("eco2_tracing.spans.queued")
    assert queued.as_int == 0
    dropped = {
        found["reason"]: point.as_int for found, point in received.points("eco2_tracing.spans.dropped")
    }
    assert dropped["queue_full"] == 0
    ((reason, kept),) = received.points("eco2_tracing.traces.kept")
    assert (reason, kept.as_int) == ({"reason": "head"}, 1)
    durations = {found["signal"]: point for found, point in received.points("eco2_tracing.export.duration")}
    assert set(durations) == {"traces", "metrics", "logs"}
    assert all(point.count for point in durations.values())
    status = tracing_status()
    assert status.metrics.sent == 2
    assert status.metrics.endpoints == status.endpoints
    assert status.logs.sent >= 1
    assert status.metrics.dropped["queue_full"] == status.export_failures == 0


def test_one_connection(configure, received, client):
    """The three signals share one connection."""
    configure()
    client.get("/items/1")
    assert flush_tracing()
    assert {signal for signal, _ in received.peers} == {"traces", "metrics", "logs"}
    assert len({peer for _, peer in received.peers}) == 1


def test_one_destination_for_each_signal(configure, received, client):
    """The variables of a signal select its endpoint, protocol, headers and compression."""
    configure(
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{received.http_endpoint}/x/metrics",
        OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="http/protobuf",
        OTEL_EXPORTER_OTLP_METRICS_COMPRESSION="gzip",
        OTEL_EXPORTER_OTLP_LOGS_HEADERS="x-team=logs",
    )
    client.get("/items/1")
    assert flush_tracing()
    headers = {signal: found for signal, _, found in received.requests}
    assert headers["metrics"]["content-encoding"] == "gzip"
    assert headers["logs"]["x-team"] == "logs"
    assert "x-team" not in headers["traces"]
    assert len({peer for _, peer in received.peers}) == 3


def test_the_providers_of_the_application(configure, received, client, caplog, free_providers):
    """A meter provider that the application has set stays in charge; one warning says so."""
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    configure(OTEL_LOGS_EXPORTER="none")
    record_metric("orders", 1, {"password": "hunter2"})
    client.get("/items/1", headers=SAMPLED)
    client.get("/call", headers=SAMPLED)
    assert len([r for r in caplog.records if "meter provider is already installed" in r.message]) == 1
    found = {
        metric.name: metric.data.data_points
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {
        "http.server.request.duration",
        "http.client.request.duration",
        "http.server.active_requests",
    } < set(found)
    assert "eco2_tracing.spans.sent" in found
    assert found["orders"][0].attributes == {"password": "REDACTED"}
    (exemplar,) = found["http.server.request.duration"][0].exemplars
    assert exemplar.trace_id == int("8" * 32, 16)
    assert flush_tracing()
    assert {name for name, _, _ in received.requests} == {"traces"}
    assert shutdown_tracing()
    record_metric("orders", 1)


def test_console(configure, capsys):
    """Metrics are printed as JSON."""
    configure(OTEL_METRICS_EXPORTER="console", OTEL_TRACES_EXPORTER="none", OTEL_LOGS_EXPORTER="none")
    record_metric("orders", 1)
    assert flush_tracing()
    assert '"orders"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("signal", "variable"), [("metrics", "OTEL_METRICS_EXPORTER"), ("logs", "OTEL_LOGS_EXPORTER")]
)
def test_an_endpoint_that_cannot_be_used(configure, caplog, signal, variable):
    """It is reported; the other signals are exported."""
    configure(**{f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT": "xds:///collector", variable: "otlp"})
    record_metric("orders", 1)
    logging.getLogger("shop").warning("sold")
    assert f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT" in caplog.text
    assert getattr(tracing_status(), signal).endpoints == ()
    assert flush_tracing()


def test_disabled(configure, received):
    """A disabled SDK exports no signal."""
    configure(OTEL_SDK_DISABLED="true")
    record_metric("orders", 1)
    logging.getLogger("shop").warning("sold")
    assert flush_tracing()
    assert received.requests == []


def test_the_public_names_are_the_same():
    """The submodule has the top level's functions."""
    assert eco2_tracing.metrics.record_metric is record_metric
    assert eco2_tracing.metrics.current_exemplar is eco2_tracing.current_exemplar


def test_a_second_configuration_in_one_process(configure, received, client):
    """Shutdown takes the providers away, so that the application or another configuration may set them."""
    configure()
    assert shutdown_tracing()
    assert configure_tracing("again")
    client.get("/items/1")
    assert flush_tracing()
    assert received.points("http.server.request.duration")
