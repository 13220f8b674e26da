"""Log records, as a collector receives them."""

from __future__ import annotations

import logging
import warnings

import pytest
from opentelemetry import _logs
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import attach, detach
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from eco2_tracing import (
    bind_log_fields,
    configure_logging,
    flush_tracing,
    shutdown_tracing,
    tracing_status,
)
from eco2_tracing._untraced import SUPPRESSED
from tests.signals.conftest import SAMPLED, UNSAMPLED
from tests.support.hostile import Unreadable


def only(received, name="shop"):
    """The one record of a logger: record and attributes."""
    ((_, record, attributes),) = [each for each in received.log_records() if each[0] == name]
    return record, attributes


def test_a_record(configure, received):
    """Message, severity, time, place, ECS fields and masked values."""
    configure_logging()
    configure()
    logging.getLogger("shop").warning(
        "sold %s", "tea", extra={"order.id": 7, "password": "hunter2", "kind": "green"}
    )
    assert flush_tracing()
    record, attributes = only(received)
    assert record.body.string_value == "sold tea"
    assert (record.severity_text, record.severity_number) == ("WARN", 13)
    assert 0 < record.time_unix_nano <= record.observed_time_unix_nano
    assert (record.trace_id, record.span_id, record.flags) == (b"", b"", 0)
    assert attributes.pop("code.file.path") == __file__
    assert attributes.pop("code.function.name") == "test_a_record"
    assert attributes.pop("code.line.number") > 0
    assert attributes == {
        "thread.name": "MainThread",
        "order.id": 7,
        "labels.password": "REDACTED",
        "labels.kind": "green",
    }
    (message,) = received.of("logs")
    (resource,) = message.resource_logs
    assert [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"] == [
        "shop"
    ]


@pytest.mark.parametrize("headers", [SAMPLED, UNSAMPLED])
def test_ids_and_fields_of_a_request(configure, received, client, headers):
    """A record has the ids of its request, sampled or not."""
    configure_logging()
    configure()
    client.get("/items/1", headers=headers)
    assert flush_tracing()
    record, _ = only(received)
    assert record.trace_id.hex() == "8" * 32
    assert record.flags == int(headers["x-b3-sampled"])
    if record.flags:
        assert record.span_id in {span.span_id for span in received.spans()}


def test_an_exception(configure, received):
    """Type, message and stack trace have the names of the conventions, masked."""
    configure()
    try:
        raise ValueError("password=hunter2 is wrong")
    except ValueError:
        bind_log_fields(user_id="u-1")
        logging.getLogger("shop").exception("failed")
    bind_log_fields(user_id=None)
    assert flush_tracing()
    record, attributes = only(received)
    assert record.severity_text == "ERROR"
    assert attributes["exception.type"] == "ValueError"
    assert "is wrong" in attributes["exception.message"]
    assert "Traceback" in attributes["exception.stacktrace"]
    assert attributes["user.id"] == "u-1"
    assert "hunter2" not in str(attributes)


@pytest.mark.parametrize(
    ("level", "text", "number"),
    [
        (4, "Level 4", 0),  # uvicorn names level 5
        (10, "DEBUG", 5),
        (20, "INFO", 9),
        (25, "Level 25", 12),
        (40, "ERROR", 17),
        (50, "FATAL", 21),
        (99, "Level 99", 24),
    ],
)
def test_severities(configure, received, level, text, number):
    """Levels of Python are those of the data model."""
    configure_logging("NOTSET")
    configure()
    logging.getLogger("shop").log(level, "x")
    assert flush_tracing()
    record, _ = only(received)
    assert (record.severity_text, record.severity_number) == (text, number)


def test_never_about_itself(configure, received):
    """Records of this library, and of its export threads, are not exported."""
    configure_logging("DEBUG")
    configure()
    logging.getLogger("eco2_tracing").warning("no collector")
    logging.getLogger("eco2_tracing.part").warning("no collector")
    token = attach(SUPPRESSED)
    try:
        logging.getLogger("h2").warning("while exporting")
        _logs.get_logger("own").emit(LogRecord(body="while exporting"))
    finally:
        detach(token)
    logging.getLogger("shop").warning("sold")
    assert flush_tracing()
    assert [name for name, _, _ in received.log_records()] == ["shop"]


def test_loggers_of_the_api(configure, received):
    """Records that the application emits itself are masked and bounded, and have the resource."""
    before = _logs.get_logger("before")
    configure()
    after = _logs.get_logger("after", "1.0")
    for each in (before, after):
        each.emit(
            LogRecord(
                body="password=hunter2 \ud800",
                severity_number=SeverityNumber.INFO,
                attributes={"api_key": "abc", "n": 1},
            )
        )
    after.emit(LogRecord(body={"a": [1, "b"]}))
    assert _logs.get_logger_provider().force_flush()
    found = received.log_records()
    assert {name for name, _, _ in found} == {"before", "after"}
    assert "hunter2" not in str(found)
    assert found[0][2] == {"api_key": "REDACTED", "n": 1}
    _logs.get_logger_provider().shutdown()
    assert shutdown_tracing()
    after.emit(LogRecord(body="dropped"))
    received.requests.clear()
    configure()
    after.emit(LogRecord(body="again"))
    assert flush_tracing()
    record, _ = only(received, "after")
    assert record.body.string_value == "again"


def test_limits(configure, received):
    """The number of attributes and the length of values are limited."""
    configure(OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT="4", OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT="5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logging.getLogger("shop").warning("sold", extra={"a": "1234567", "b": "x"})
    assert flush_tracing()
    _, attributes = only(received)
    assert len(attributes) == 4
    assert attributes["thread.name"] == "MainT"


def test_a_full_queue(configure, received):
    """Further records are dropped and counted; a log call does not wait."""
    configure(
        OTEL_BLRP_MAX_QUEUE_SIZE="3",
        OTEL_BLRP_SCHEDULE_DELAY="3600000",
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="http://127.0.0.1:1",
    )
    for _ in range(20):
        logging.getLogger("shop").warning("sold")
    status = tracing_status().logs
    assert status.queued + sum(status.dropped.values()) == 20
    assert status.dropped["queue_full"] >= 1
    assert not flush_tracing(0.3)
    assert tracing_status().logs.export_failures
    assert "refused" in tracing_status().logs.last_export_error


def test_large_records(configure, received):
    """Large records count against the bytes of the queue."""
    configure(OTEL_BLRP_SCHEDULE_DELAY="3600000", OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="http://127.0.0.1:1")
    for _ in range(400):
        logging.getLogger("shop").warning("x " * 8000)
    status = tracing_status().logs
    assert status.dropped["queue_full"] > 0
    assert status.queued < 400


def test_hostile_records(configure, received, monkeypatch):
    """Objects that raise do not fail a log call, and do not lose the other records."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    configure()
    log = logging.getLogger("shop")
    log.warning("%s", Unreadable(), extra={"odd": Unreadable()})
    log.handle(logging.makeLogRecord({"msg": "made", "levelno": 30, "levelname": 7, "name": "shop"}))
    for number in range(1100):
        logging.getLogger(f"shop.{number}").warning("x")
    assert flush_tracing()
    bodies = [record.body.string_value for name, record, _ in received.log_records() if name == "shop"]
    assert len(bodies) == 2
    assert "made" in bodies


def test_the_handlers_of_the_application(configure, received, capsys, monkeypatch):
    """`basicConfig` works as without the exporter, and warnings without any handler go to stderr."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    original = logging.basicConfig
    configure()
    logging.getLogger("shop").warning("last resort")
    logging.getLogger("shop").info("not written")
    assert capsys.readouterr().err == "last resort\n"
    own = logging.StreamHandler()
    quiet = logging.getLogger("quiet")
    quiet.addHandler(own)
    quiet.warning("once")
    assert capsys.readouterr().err == "once\n"
    quiet.removeHandler(own)
    logging.basicConfig(format="mine %(message)s")
    logging.getLogger("shop").warning("formatted")
    assert capsys.readouterr().err == "mine formatted\n"
    assert len(root.handlers) == 2
    assert shutdown_tracing()
    assert len(root.handlers) == 1
    assert logging.basicConfig is original


def test_handlers_that_were_replaced(configure, received, client, monkeypatch):
    """The handler is added again when a worker begins, after `logging.config` has removed it."""
    root = logging.getLogger()
    configure()
    monkeypatch.setattr(root, "handlers", [])
    client.get("/items/1")
    client.get("/items/2")
    assert flush_tracing()
    bodies = [record.body.string_value for _, record, _ in received.log_records()]
    assert [body for body in bodies if body.startswith("sold")][-1] == "sold 2"


def test_another_basic_config(configure, monkeypatch):
    """A replacement of `basicConfig` by another package stays."""
    configure()
    other = monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    replacement = logging.basicConfig
    assert shutdown_tracing()
    assert logging.basicConfig is replacement
    assert other is None


def test_the_logger_provider_of_the_application(configure, received, caplog, free_providers):
    """A logger provider that the application has set stays in charge; one warning says so."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    _logs.set_logger_provider(provider)
    configure()
    logging.getLogger("shop").warning("sold")
    assert flush_tracing()
    assert len([r for r in caplog.records if "logger provider is already installed" in r.message]) == 1
    assert received.log_records() == []
    assert exporter.get_finished_logs() == ()
    assert tracing_status().logs.sent == 0
    assert shutdown_tracing()


def test_console(configure, capsys):
    """Each record is printed as JSON, masked."""
    configure(OTEL_LOGS_EXPORTER="console", OTEL_METRICS_EXPORTER="none", OTEL_TRACES_EXPORTER="none")
    logging.getLogger("shop").warning("password=hunter2")
    out = capsys.readouterr().out
    assert '"severity_text": "WARN"' in out
    assert "hunter2" not in out


def test_a_trace_its_logs_and_its_exemplar(configure, received, client):
    """A failed request that was not sampled is a trace; its log records and its exemplar have its ids."""
    configure_logging()
    configure()
    client.get("/items/1", headers={**UNSAMPLED, "x-b3-traceid": "1" * 32})
    client.get("/boom", headers={**UNSAMPLED, "x-b3-traceid": "2" * 32})
    assert flush_tracing()
    (span,) = received.spans()
    assert (span.name, span.trace_id.hex()) == ("GET /boom", "2" * 32)
    exemplars = [
        each
        for found, point in received.points("http.server.request.duration")
        if found["http.route"] == "/boom"
        for each in point.exemplars
    ]
    assert [(each.trace_id, each.span_id) for each in exemplars] == [(span.trace_id, span.span_id)]
    ((_, point),) = [
        each
        for each in received.points("http.server.request.duration")
        if each[0]["http.route"] == "/items/{item_id}"
    ]
    assert not point.exemplars
    record, _ = only(received)
    assert record.trace_id.hex() == "1" * 32


@pytest.mark.skipif(not hasattr(LogRecordLimits, "UNSET"), reason="before 1.45 the SDK reads them itself")
def test_bad_limits(configure, received):
    """The SDK would raise for them; the defaults are used."""
    configure(OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT="many", OTEL_ATTRIBUTE_COUNT_LIMIT="-1")
    logging.getLogger("shop").warning("sold")
    assert flush_tracing()
    _, attributes = only(received)
    assert len(attributes) == 4
