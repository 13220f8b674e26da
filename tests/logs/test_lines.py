"""The fields of a line, their order and their sources."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import uuid

import pytest
from opentelemetry import trace

from eco2_tracing import logs
from eco2_tracing._redaction import Redactor
from eco2_tracing.logs._shared import set_redactor, set_service

TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
log = logging.getLogger("app")


def record(message: object, **attributes: object) -> logging.LogRecord:
    """Make a record as another library does."""
    return logging.makeLogRecord({"msg": message, "levelno": 20, "levelname": "INFO", **attributes})


def in_span(trace_id: int = TRACE_ID, span_id: int = SPAN_ID):
    """Make a span current for a block."""
    return trace.use_span(trace.NonRecordingSpan(trace.SpanContext(trace_id, span_id, is_remote=True)))


def test_the_order_of_fields(out):
    """The ECS logging specification's `index`: timestamp, level, message; then the version."""
    logs.configure_logging()
    set_service("auth-api", "1.2.0", "production", "pod-7")
    with in_span():
        log.warning("hello %s", "world", extra={"user_id": "7", "provider": "kakao"})
    (line,) = out()
    assert list(line) == [
        "@timestamp", "log.level", "message", "ecs.version", "log.logger", "process.pid", "process.thread.name",
        "service.name", "service.version", "service.environment", "service.node.name", "trace.id", "span.id",
        "user.id", "labels",
    ]  # fmt: skip
    assert line["log.level"] == "warning"
    assert line["message"] == "hello world"
    assert line["log.logger"] == "app"
    assert line["trace.id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["span.id"] == "b7ad6b7169203331"
    assert line["user.id"] == "7"
    assert line["labels"] == {"provider": "kakao"}


@pytest.mark.parametrize(
    ("created", "stamp"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1734436800.0, "2024-12-17T12:00:00.000Z"),
        (1734436800.1239, "2024-12-17T12:00:00.123Z"),
        (1734436800.9998, "2024-12-17T12:00:00.999Z"),
    ],
)
def test_timestamps(created, stamp):
    """The record's time, in UTC with milliseconds."""
    assert f'"@timestamp":"{stamp}"' in logs.EcsFormatter().format(record("m", created=created))


def test_no_ids_outside_a_trace(out):
    """`trace.id` is absent without a trace."""
    logs.configure_logging()
    log.info("a")
    with in_span(0, 0):
        log.info("b")
    with in_span():
        log.info("c")
    log.info("d")
    assert ["trace.id" in line for line in out()] == [False, False, True, False]


def test_ids_of_the_exception(out):
    """The line of a traceback has the ids kept on the exception, unless there are current ones."""
    logs.configure_logging()
    error = ValueError("x")
    error.__eco2_trace_ids__ = (1, 2)
    log.error("a", exc_info=error)
    with in_span():
        log.error("b", exc_info=error)
    error.__eco2_trace_ids__ = "forged"
    log.error("c", exc_info=error)
    log.error("d", exc_info=ValueError("y"))
    assert [line.get("trace.id") for line in out()] == [f"{1:032x}", f"{TRACE_ID:032x}", None, None]


def test_exceptions(out):
    """Type, message and traceback; the type is that of the span."""
    logs.configure_logging()
    try:
        uuid.UUID("token=planted")
    except ValueError as error:
        log.exception("failed")
        log.error("again", exc_info=(type(error), error, error.__traceback__))
    first, second = out()
    assert first["error.type"] == "ValueError"
    assert first["error.message"] == "badly formed hexadecimal UUID string"
    assert first["error.stack_trace"].startswith("Traceback (most recent call last):\n")
    assert "planted" not in str(first)
    assert second["error.stack_trace"] == first["error.stack_trace"]


def test_the_type_of_an_exception_has_its_module(out):
    """The same as `error.type` of spans."""
    logs.configure_logging()
    log.error("x", exc_info=AppError("password=planted"))
    (line,) = out()
    assert line["error.type"] == f"{__name__}.AppError"
    assert line["error.message"] == "password=REDACTED"
    assert "planted" not in str(line)


class AppError(Exception):
    """An application's exception."""


def test_stacks_and_texts_of_others(out):
    """`stack_info` and a cached traceback are in the traceback's field."""
    logs.configure_logging()
    log.info("a", stack_info=True)
    log.info("b", exc_info=True)  # noqa: LOG014 - there is none
    log.handle(record("c", exc_text="Traceback …"))
    log.handle(record("e", exc_info=ValueError("bare")))
    log.handle(record("d", exc_text="\n", exc_info=(None, None, None)))
    a, b, c, bare, d = out()
    assert bare["error.message"] == "bare"
    assert a["error.stack_trace"].startswith("Stack (most recent call last):")
    assert "error.type" not in a
    assert "error.stack_trace" not in b
    assert c["error.stack_trace"] == "Traceback …"
    assert "error.stack_trace" not in d


def test_long_tracebacks_keep_both_ends(out):
    """The middle is removed, up to the begin of a frame."""
    logs.configure_logging()
    frames = "".join(f'\n  File "f{number}.py", line 1, in f\n    pass' for number in range(2000))
    log.handle(record("a", exc_text=f"Traceback{frames}\nLast: words"))
    log.handle(record("b", exc_text="x" * 50_000))
    a, b = out()
    assert a["error.stack_trace"].startswith('Traceback\n  File "f0.py"')
    assert a["error.stack_trace"].endswith("Last: words")
    assert '…\n  File "' in a["error.stack_trace"]
    assert len(b["error.stack_trace"]) == 4 * 1024


def test_where_extras_go(out):
    """`user_id` becomes `user.id`, dotted names stay, others are labels."""
    logs.configure_logging()
    log.info(
        "m",
        extra={
            "user_id": "u-1",
            "user_email": "a@b.test",
            "order.id": 7,
            "a.b": {"c": 1},
            "plan": "free",
            "labels": {"x.y*z\\": 1},
            "labels.other": True,
            "user_agent": "x",
        },
    )
    (line,) = out()
    assert line["user.id"] == "u-1"
    assert line["order.id"] == 7
    assert line["a.b"] == {"c": 1}
    assert line["labels"] == {
        "user_email": "a@b.test",
        "plan": "free",
        "x_y_z_": 1,
        "other": True,
        "user_agent": "x",
    }


@pytest.mark.parametrize(
    "name",
    [
        "@timestamp", "log.level", "ecs.version", "log.logger", "trace.id", "span.id", "service.name",
        "process.pid", "labels", "trace", "service.node", "message.x", "trace.id.x", "a..b", ".a", "a.", "log",
    ],
)  # fmt: skip
def test_extras_forge_nothing(out, name):
    """A name that the formatter uses, or that clashes with one, is a label."""
    logs.configure_logging(service_name="real")
    with in_span():
        log.info("m", extra={name: "forged"})
        log.info("m")
    forged, honest = out()
    labels = forged.pop("labels")
    assert labels == {name.replace(".", "_"): "forged"}
    assert list(forged) == list(honest)
    assert "forged" not in str(forged)


def test_fields_that_clash_with_each_other(out):
    """A field is a value or an object, never both; error fields of the record take precedence."""
    logs.configure_logging()
    log.info("m", extra={"a.b": 1, "a.b.c": 2, "x.y.z": 3, "x.y": 4})
    log.error("m", extra={"error.type": "mine"}, exc_info=ValueError())
    log.error("m", extra={"error.type": "mine"})
    first, second, third = out()
    assert (first["a.b"], first["x.y.z"]) == (1, 3)
    assert first["labels"] == {"a_b_c": 2, "x_y": 4}
    assert (second["error.type"], second["labels"]) == ("ValueError", {"error_type": "mine"})
    assert third["error.type"] == "mine"


def test_values(out):
    """Values with a JSON form stay, others become text; labels have no objects; ``None`` is left out."""
    logs.configure_logging()
    day = dt.datetime(2026, 11, 22, 1, 2, 3, tzinfo=dt.UTC)
    values = {
        "none": None, "yes": True, "int": 5, "float": 1.5, "bytes": b"a\xff", "day": day, "date": day.date(),
        "uuid": uuid.UUID(int=1), "set": {1}, "list": ["a", 1], "dict": {"a": {1: 2}}, "nested": [{"a": 1}],
        "object": object, "complex": 1j,
    }  # fmt: skip
    log.info("m", extra=values)
    assert out()[0]["labels"] == {
        "yes": True, "int": 5, "float": 1.5, "bytes": "a\\xff", "day": "2026-11-22T01:02:03+00:00",
        "date": "2026-11-22", "uuid": "00000000-0000-0000-0000-000000000001", "set": [1], "list": ["a", 1],
        "dict": '{"a":{"1":2}}', "nested": '[{"a":1}]', "object": "<class 'object'>", "complex": "1j",
    }  # fmt: skip


def test_secrets(out):
    """Masked in messages and extras, by name and by form, at any depth."""
    logs.configure_logging()
    log.info(
        "GET /x?token=%s",
        "planted",
        extra={
            "password": "planted",
            "code": "planted",
            "note": "api_key=planted",
            "payload": {"password": "planted", "code": 404, "secret": None},
            "http.request.header.cookie": "planted",
            "pin.secret": 1234,
        },
    )
    (line,) = out()
    assert "planted" not in str(line)
    assert line["message"] == "GET /x?token=REDACTED"
    assert line["pin.secret"] == "REDACTED"
    assert line["labels"]["payload"] == '{"password":"REDACTED","code":404,"secret":null}'


def test_additional_secrets(out, monkeypatch):
    """Keys from the environment, from `set_redactor`, and of one formatter."""
    monkeypatch.setenv("ECO2_TRACING_REDACT_KEYS", "ssn")
    logs.configure_logging()
    log.info("ssn=1 iban=2")
    set_redactor(Redactor(["iban"]))
    log.info("ssn=1 iban=2")
    assert [line["message"] for line in out()] == ["ssn=REDACTED iban=2", "ssn=1 iban=REDACTED"]
    assert '"pin=REDACTED"' in logs.EcsFormatter(redact_keys=["pin"]).format(record("pin=1"))


def test_messages_that_are_dictionaries(out):
    """A dictionary as message: its items are fields, as with python-json-logger."""
    logs.configure_logging()
    log.info({"message": "m", "order.id": 1, "plan": "x"})
    log.info({"plan": "x"})
    first, second = out()
    assert (first["message"], first["order.id"], first["labels"]) == ("m", 1, {"plan": "x"})
    assert (second["message"], second["labels"]) == ("", {"plan": "x"})


def test_what_others_add_to_records_is_no_label(out):
    """Uvicorn's colours, results of other formatters, and ids that the line has already."""
    logs.configure_logging()
    log.addFilter(logs.TraceContextFilter())
    try:
        with in_span():
            log.info("a\r\n", extra={"color_message": "x", "otelTraceID": "1"})
        # From Python 3.12 on, records have this attribute.
        log.handle(logging.makeLogRecord({"levelno": logging.INFO, "msg": "b", "taskName": "Task-1"}))
    finally:
        log.filters.clear()
    log.info("c", extra={"trace_id": "mine"})
    a, b, c = out()
    assert a["message"] == "a"
    assert "labels" not in a
    assert "labels" not in b
    assert c["labels"] == {"trace_id": "mine"}


def test_static_fields():
    """Fields of every line; other fields take precedence."""
    formatter = logs.EcsFormatter(static_fields={"event.dataset": "x.log", "team": "a"})
    line = formatter.format(record("m", team="b"))
    assert line.endswith('"event.dataset":"x.log","labels":{"team":"b"}}')


def test_threads_and_loggers_each_have_their_name(out):
    """More loggers than the cache holds."""
    logs.configure_logging()
    for number in range(600):
        logging.getLogger(f"many.{number}").info("m")
    thread = threading.Thread(target=log.info, args=("t",), name="worker")
    thread.start()
    thread.join()
    *many, last = out()
    assert [line["log.logger"] for line in many] == [f"many.{number}" for number in range(600)]
    assert (last["log.logger"], last["process.thread.name"]) == ("app", "worker")


def test_records_without_process_and_thread(out, monkeypatch):
    """`logging.logProcesses` and `logThreads` may be off."""
    monkeypatch.setattr(logging, "logProcesses", False)
    monkeypatch.setattr(logging, "logThreads", False)
    logs.configure_logging()
    log.info("m")
    (line,) = out()
    assert "process.pid" not in line
    assert "process.thread.name" not in line


def test_levels_of_ones_own(out):
    """Any level's name, in lower case."""
    logs.configure_logging(1)
    log.log(25, "a")
    log.handle(record("b", levelname='NO"\nTICE'))
    assert [line["log.level"] for line in out()] == ["level 25", 'no"\ntice']
