"""Parts that a test through the public surface does not reach, and what they do when something fails."""

from __future__ import annotations

import logging
import threading
from types import SimpleNamespace

import pytest
from opentelemetry import metrics
from opentelemetry._logs import LogRecord
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from eco2_tracing import flush_tracing, record_metric, shutdown_tracing, tracing_status
from eco2_tracing._compat import api, sdk
from eco2_tracing._compat.otlp import log_encoder
from eco2_tracing._export import logs as log_export
from eco2_tracing._export import metrics as metric_export
from eco2_tracing._export.exporter import OtlpSender
from eco2_tracing._export.result import EncodedBatch, ExportResult
from eco2_tracing._export.transport.persistent import SharedTransport
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._lifecycle import configure as lifecycle
from eco2_tracing.logs import _otel, _provider
from eco2_tracing.metrics import _histograms, _http, _prometheus
from eco2_tracing.metrics._meters import meters
from eco2_tracing.metrics._ticker import Ticker
from tests.signals.conftest import SAMPLED
from tests.support.signals import metrics_of


def sums(*values: object, scopes: int = 1) -> MetricsData:
    """A metric for each value."""
    found = [
        ScopeMetrics(
            InstrumentationScope(f"scope-{scope}"),
            [
                Metric(
                    f"m{index}", "", "",
                    Sum([NumberDataPoint({}, 0, 1, value)], AggregationTemporality.CUMULATIVE, True),
                )
                for index, value in enumerate(values)
            ],
            "",
        )
        for scope in range(scopes)
    ]  # fmt: skip
    return MetricsData([ResourceMetrics(Resource({}), found, "")])


def names(requests: list[bytes]) -> list[list[str]]:
    """The names of the metrics of each request."""
    return [
        [metric.name for metric in metrics_of(ExportMetricsServiceRequest.FromString(one))]
        for one in requests
    ]


def test_metrics_of_limited_size(caplog):
    """A request that is too large is divided; a metric that is too large or has a bad value is left out."""
    assert names(list(metric_export.encoded(sums(1, 2)))) == [["m0", "m1"]]
    assert names(list(metric_export.encoded(sums(1, 2, 3), limit=50))) == [["m0"], ["m1"], ["m2"]]
    assert names(list(metric_export.encoded(sums(1, scopes=2), limit=50))) == [["m0"], ["m0"]]
    assert list(metric_export.encoded(sums(1), limit=10)) == []
    assert names(list(metric_export.encoded(sums(1, "no number", 3)))) == [["m0"], ["m2"]]
    assert "encoding metrics" in caplog.text


def records(*bodies: object) -> list[ReadableLogRecord]:
    """A log record for each body."""
    return [ReadableLogRecord(LogRecord(body=body), Resource({})) for body in bodies]


def test_log_records_of_limited_size(caplog):
    """The same for log records; what is left out is counted."""
    encode = log_encoder()
    assert [one.spans for one in log_export.encoded(records("a", "b"), encode)] == [2]
    assert [one.spans for one in log_export.encoded(records("a" * 50, "b" * 50), encode, 100)] == [1, 1]
    assert list(log_export.encoded(records("a" * 200), encode, 100)) == []
    sender = log_export.LogsSender(SimpleNamespace(), endpoint="collector:4317")
    batches, lost = sender.encode(records("a", object(), "c"))
    assert (sum(one.spans for one in batches), lost) == (2, 1)
    assert "encoding log records" in caplog.text


@pytest.mark.parametrize(
    ("kind", "items"),
    [
        (OtlpSender, "spans"),
        (metric_export.MetricsSender, "data points"),
        (log_export.LogsSender, "log records"),
    ],
)
def test_partial_success_names_the_items(kind, items):
    """What the receiver has rejected is named."""
    result = ExportResult("sent", "partial success, 2 spans rejected: too old", "rejected", 2)
    sender = kind(SimpleNamespace(send=lambda _body, _timeout_s: result), endpoint="collector:4317")
    assert sender.send(EncodedBatch(b"", 2), 1).error == f"partial success, 2 {items} rejected: too old"


def test_a_request_waits_for_that_of_another_signal():
    """Only as long as its timeout; a close does not wait, and a child has its own lock."""
    entered, leave = threading.Event(), threading.Event()
    closed = []

    def send(_path, _body, _timeout_s):
        entered.set()
        leave.wait(20)
        return ExportResult("sent")

    shared = SharedTransport(SimpleNamespace(send=send, close=lambda: closed.append(True)))
    thread = threading.Thread(target=shared.send, args=("/", b"", 20))
    thread.start()
    assert entered.wait(20)
    result = shared.send("/", b"", 0.01)
    assert (result.outcome, result.error.partition(":")[0]) == ("retry", "timed out")
    shared.close()
    assert not closed
    shared.after_fork()
    assert closed == [True]
    leave.set()
    thread.join()
    assert shared.send("/", b"", 1).outcome == "sent"
    shared.close()
    assert closed == [True, True]


def test_a_ticker_without_threads(monkeypatch):
    """Where no thread can be started, a flush collects in the calling thread."""

    def start(_self):
        raise RuntimeError("can't start new thread")

    calls = []
    monkeypatch.setattr("eco2_tracing.metrics._ticker.NativeThread.start", start)
    ticker = Ticker(lambda: calls.append(True), 3600)
    assert ticker.flush(1)
    assert ticker.stop(1)
    assert ticker.stop(1)
    ticker.start()
    assert len(calls) == 2


def test_a_ticker_that_is_being_started():
    """A signal handler that interrupts a start does not wait for it."""
    ticker = Ticker(lambda: None, 3600)
    ticker._starting.acquire()
    ticker.start()
    assert not ticker.is_running
    ticker.after_fork()
    ticker.start()
    assert ticker.is_running
    assert ticker.stop(20)


def test_a_collection_that_fails(configure, received, caplog):
    """It is reported once, and the thread goes on."""
    configure()
    pipeline = lifecycle._process.tracing.others.metrics.pipeline
    original, pipeline._tick = pipeline.ticker._tick, None
    pipeline.ticker._tick = lambda: 1 / 0
    assert flush_tracing()
    pipeline.ticker._tick = original
    record_metric("orders", 1)
    assert flush_tracing()
    assert "collecting metrics" in caplog.text
    assert received.points("orders")


def test_a_measurement_that_fails(configure, client, caplog, monkeypatch):
    """The request is served, whatever measuring raises at its begin or end."""
    configure()
    for method in ("_began", "_record"):
        serving = current.state.serve.__self__
        with monkeypatch.context() as context:
            context.setattr(serving, method, lambda *_: 1 / 0)
            assert client.get("/items/1").status_code == 200
    assert "measuring a request" in caplog.text
    instrument = metrics.get_meter("shop").create_counter("x")
    instrument._target = SimpleNamespace()
    instrument.add(1)
    assert "recording a measurement" in caplog.text


def test_a_log_record_that_fails(configure, caplog, monkeypatch):
    """The log call goes on, whatever the conversion or the queue raises."""
    configure()
    with monkeypatch.context() as context:
        context.setattr(_otel, "_attributes", lambda *_: 1 / 0)
        logging.getLogger("shop").warning("sold")
    assert "exporting a log record" in caplog.text
    processor = _provider.loggers._processor
    monkeypatch.setattr(processor, "puts", (lambda *_: 1 / 0,))
    logging.getLogger("shop").warning("sold")
    assert "queueing a log record" in caplog.text


def test_pending_measurements():
    """They are aggregated in batches; while another thread does so, they wait."""
    durations = _histograms.Durations(
        _histograms.Named("d", "s", ""), (1.0,), lambda key: {"key": key}, has_exemplars=False
    )
    store = durations.add_store(is_delta=False)
    other = threading.Thread(target=durations._lock.acquire)
    other.start()
    other.join()
    for _ in range(2 * _histograms.MOST_PENDING):
        durations.record((1,), 0.5, None)
    assert not store.cells
    durations.after_fork()
    for _ in range(_histograms.MOST_PENDING):
        durations.record((1,), 0.5, SimpleNamespace(span_id=1, trace_id=2))
    ((_, cell),) = durations.collect(store)
    assert (cell.count, cell.exemplars) == (_histograms.MOST_PENDING, {})
    active = _histograms.ActiveCount(_histograms.Named("a", "1", ""), lambda key: {"key": key})
    active.ended((1,))  # begun by the parent
    for _ in range(3):
        active.began((2,))
    active.ended((2,))
    assert active.collect() == [({"key": (2,)}, 2)]
    active.began((2,))
    active.after_fork()
    assert active.collect() == []


def test_attributes_of_many_keys():
    """Beyond the limit, all keys have the attributes of the overflow."""
    found = _http._AttributesOf(lambda key: {"key": key[0]})
    for number in range(_histograms.MOST_SERIES):
        last = found[number,]
    assert last is _histograms.OVERFLOW
    assert len(found) == _histograms.MOST_SERIES - 1


def test_forked_children(configure, received, client, monkeypatch):
    """Instruments and loggers go on with new providers and new locks."""
    configure()
    counter = metrics.get_meter("own").create_counter("own")
    counter.add(1)
    tracing = lifecycle._process.tracing
    others = tracing.others
    others.metrics.pipeline.after_fork()
    meters.after_fork()
    _provider.loggers.after_fork()
    counter.add(1)
    client.get("/items/1", headers=SAMPLED)
    assert flush_tracing()
    ((_, point),) = received.points("own")
    assert point.as_int == 1
    others.uninstall(tracing.state)
    others.metrics.pipeline.after_fork()
    assert current.state is not None


def test_versions_without_private_names(configure, monkeypatch, caplog):
    """The providers of the API stay, which is reported once."""
    configure()
    monkeypatch.delattr("opentelemetry.metrics._internal._METER_PROVIDER_SET_ONCE")
    monkeypatch.delattr("opentelemetry._logs._internal._LOGGER_PROVIDER_SET_ONCE")
    assert shutdown_tracing()
    assert "putting the API's meter provider back" in caplog.text
    assert "putting the API's logger provider back" in caplog.text
    monkeypatch.undo()
    api.forget_global_meter_provider()
    api.forget_global_logger_provider()


def test_other_versions_of_the_packages(monkeypatch):
    """Names that moved are found, or what is missing is said."""
    monkeypatch.delattr("opentelemetry.metrics._Gauge")
    assert api.gauge_class() is object
    with pytest.raises(ImportError, match="no encoder of logs"):
        log_encoder(["eco2_tracing.no_such_module", "json"])
    monkeypatch.delattr("opentelemetry.sdk._logs.export.ConsoleLogRecordExporter")
    older = type("ConsoleLogExporter", (), {})
    monkeypatch.setattr("opentelemetry.sdk._logs.export.ConsoleLogExporter", older)
    assert sdk.console_log_exporter() is older
    assert sdk.with_limits(dict, 5) == {"log_record_limits": 5}
    assert sdk.with_limits(lambda: "without", 5) == "without"
    assert sdk.record_limits(1, None, kind=dict) is None
    monkeypatch.delattr("opentelemetry.metrics._internal._METER_PROVIDER")
    monkeypatch.delattr("opentelemetry._logs._internal._LOGGER_PROVIDER")
    assert api.global_meter_provider() is api.global_logger_provider() is None


def test_an_exponential_histogram_has_no_family():
    """Prometheus' text format has no place for it."""
    families: dict = {}
    metric = SimpleNamespace(name="x", unit="s", description="", data=SimpleNamespace(data_points=[]))
    _prometheus._add(families, metric, "scope")
    assert families == {}


def test_a_second_process_with_the_endpoint(configure):
    """A forked child closes its copy of the port."""
    configure(OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT="65535")
    endpoint = lifecycle._process.tracing.others.metrics._endpoint
    forgotten = []
    endpoint._served = SimpleNamespace(forget=lambda: forgotten.append(True), close=lambda: None)
    endpoint.after_fork()
    assert forgotten == [True]
    endpoint.after_fork()
    assert tracing_status().metrics.endpoints == ()
