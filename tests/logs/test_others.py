"""Ways for those who keep their own set-up: a dictionary, a filter, structlog, loguru."""

from __future__ import annotations

import io
import json
import logging
import logging.config

import loguru
import pytest
import structlog
from opentelemetry import trace

from eco2_tracing import logs

IDS = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def in_span():
    """Make a span current for a block."""
    context = trace.SpanContext(int(IDS[0], 16), int(IDS[1], 16), is_remote=True)
    return trace.use_span(trace.NonRecordingSpan(context))


def test_the_configuration_is_json_and_works(out):
    """As `--log-config` reads it."""
    config = json.loads(json.dumps(logs.uvicorn_log_config()))
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        logging.config.dictConfig(config)
        logging.getLogger("uvicorn.error").info("started")
        logging.getLogger("uvicorn.access").info("%s - %s %s %s %d", "1.2.3.4:5", "GET", "/", "1.1", 200)
        logging.getLogger("app").info("app")
    finally:
        root.handlers, level = before
        root.setLevel(level)
    assert [line["log.logger"] for line in out()] == ["uvicorn.error", "uvicorn.access", "app"]


def test_the_configuration_is_a_new_one_each_time():
    """One may change it."""
    logs.uvicorn_log_config()["loggers"].clear()
    assert logs.uvicorn_log_config()["loggers"]


def test_the_filter():
    """Ids for a format string of one's own, and a mark outside a trace."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(trace_id)s %(span_id)s %(message)s"))
    handler.addFilter(logs.TraceContextFilter(default="none"))
    logger = logging.getLogger("filtered")
    logger.handlers, logger.propagate = [handler], False
    with in_span():
        logger.warning("a")
    logger.warning("b")
    assert stream.getvalue() == f"{IDS[0]} {IDS[1]} a\nnone none b\n"


@pytest.fixture
def events():
    """Render structlog's events as JSON, and read them."""
    stream = io.StringIO()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            logs.structlog_processor,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(stream),
    )
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


def test_structlog(events):
    """An ECS document, in order, with ids, bound fields and without secrets."""
    logs.set_service("auth-api")
    token = logs.begin_request()
    logs.bind_log_fields(plan="free")
    with in_span():
        structlog.get_logger().warning("token=planted", user_id="7", password="planted", object=object)
    logs.end_request(token)
    (event,) = events()
    assert list(event) == [
        "@timestamp", "log.level", "message", "ecs.version", "service.name", "trace.id", "span.id", "user.id",
        "labels",
    ]  # fmt: skip
    assert event["log.level"] == "warning"
    assert (event["trace.id"], event["span.id"]) == IDS
    assert event["user.id"] == "7"
    assert event["labels"] == {"plan": "free", "password": "REDACTED", "object": "<class 'object'>"}
    assert "planted" not in str(event)


def test_structlogs_exceptions(events):
    """As `exc_info`, in each of its forms, or formatted before."""
    error = ValueError("token=planted")
    error.__eco2_trace_ids__ = (1, 2)
    logger = structlog.get_logger()
    logger.error("given", exc_info=error)
    logger.error("triple", exc_info=(ValueError, error, None))
    logger.error("none", exc_info=True)  # noqa: LOG014 - there is none
    logger.error("formatted", exception="Traceback …")
    try:
        raise KeyError("k")
    except KeyError:
        logger.exception("handled")
    given, triple, none, formatted, handled = events()
    assert given["error.type"] == triple["error.type"] == "ValueError"
    assert given["trace.id"] == f"{1:032x}"
    assert "planted" not in str(given)
    assert "error.type" not in none
    assert formatted["error.stack_trace"] == "Traceback …"
    assert handled["error.type"] == "KeyError"


def test_structlog_names():
    """A logger's name and a timestamp of others are taken over."""
    event = logs.structlog_processor(
        None, "info", {"event": "m", "logger": "app", "timestamp": "2026-11-22T01:02:03Z", "level": "WARN"}
    )
    assert list(event.items())[:5] == [
        ("@timestamp", "2026-11-22T01:02:03Z"),
        ("log.level", "warn"),
        ("message", "m"),
        ("ecs.version", "8.11.0"),
        ("log.logger", "app"),
    ]


def test_loguru(out):
    """The recipe of the documentation: a handler of the standard library is a sink."""
    logs.configure_logging()
    loguru.logger.remove()
    sink = loguru.logger.add(logging.getLogger().handlers[-1], format=lambda record: "{message}")
    try:
        with in_span():
            loguru.logger.bind(user_id="7", plan="free").info("token={}", "planted")
        try:
            raise ValueError("x")
        except ValueError:
            loguru.logger.exception("failed")
    finally:
        loguru.logger.remove(sink)
    line, failed = out()
    assert line["message"] == "token=REDACTED"
    assert (line["trace.id"], line["user.id"], line["labels"]) == (IDS[0], "7", {"plan": "free"})
    assert failed["message"] == "failed"
    assert failed["error.type"] == "ValueError"
    assert "labels" not in failed
