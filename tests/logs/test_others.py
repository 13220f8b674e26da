"""Other configurations of logging: a dictionary, a filter, structlog, loguru."""

from __future__ import annotations

import collections
import io
import json
import logging
import logging.config
import logging.handlers
import queue

import loguru
import pytest
import structlog
from opentelemetry import trace

from eco2_tracing import logs
from eco2_tracing.logs._shared import set_service
from tests.support.requests import begin_request, end_request

IDS = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


def in_span():
    """Make a span current for a block."""
    context = trace.SpanContext(int(IDS[0], 16), int(IDS[1], 16), is_remote=True)
    return trace.use_span(trace.NonRecordingSpan(context))


def test_the_configuration_is_json_and_works(out):
    """The dictionary is valid for `--log-config`."""
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
    """A caller may change the dictionary."""
    logs.uvicorn_log_config()["loggers"].clear()
    assert logs.uvicorn_log_config()["loggers"]


def test_the_filter():
    """Ids for a format string, and the default outside a trace."""
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
    """An ECS document, in order, with ids and bound fields, and with masked secrets."""
    set_service("auth-api")
    token = begin_request()
    logs.bind_log_fields(plan="free")
    with in_span():
        structlog.get_logger().warning("token=planted", user_id="7", password="planted", object=object)
    end_request(token)
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
    """An exception as `exc_info`, in each of its forms, or as text."""
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
    """The logger's name and the timestamp of other processors are used."""
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


# structlog through the standard library -----------------------------------------------------------

WRAP = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)
TO_STDLIB = {
    "wrap_for_formatter": [WRAP],
    "render_to_log_kwargs": [structlog.stdlib.render_to_log_kwargs],
    "render_to_log_args_and_kwargs": [structlog.stdlib.render_to_log_args_and_kwargs],
}


@pytest.fixture
def stdlib():
    """Configure structlog for the standard library, as its documentation does; return a logger."""

    def configured(*processors, context_class=dict):
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.filter_by_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                *processors,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            context_class=context_class,
        )
        return structlog.get_logger("app")

    yield configured
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.mark.parametrize("last", TO_STDLIB)
def test_structlogs_events_through_the_standard_library(out, stdlib, last):
    """The event is the message, its items are fields; with ids and with masked secrets."""
    logs.configure_logging()
    logger = stdlib(STAMP, *TO_STDLIB[last])
    structlog.contextvars.bind_contextvars(tenant="t")
    with in_span():
        logger.bind(user_id="5").warning("token=planted", password="planted", order={"id": 7}, thing=object)
    (line,) = out()
    assert (line["message"], line["log.level"], line["log.logger"]) == ("token=REDACTED", "warning", "app")
    assert (line["trace.id"], line["span.id"]) == IDS
    assert line["user.id"] == "5"
    fields = {"tenant": "t", "password": "REDACTED", "order": '{"id":7}', "thing": "<class 'object'>"}
    assert fields.items() <= line["labels"].items()
    assert not {"event", "_logger", "_name"} & set(line["labels"])
    assert "planted" not in str(line)


def test_structlogs_wrapped_event_repeats_nothing(out, stdlib):
    """Level, logger and time are those of the record; another time of the application stays."""
    logs.configure_logging()
    local = structlog.processors.TimeStamper(fmt="iso", utc=False)
    unix = structlog.processors.TimeStamper()
    for stamp in (STAMP, local, unix):
        stdlib(stamp, WRAP).info("m")
    stdlib(WRAP).info("m", timestamp="2001-01-01T00:00:00Z", level="high", logger="theirs")
    stdlib(WRAP).info("m", timestamp="noon")
    *stamped, own, noon = out()
    assert not any("labels" in line for line in stamped)
    assert own["labels"] == {"timestamp": "2001-01-01T00:00:00Z"}
    assert noon["labels"] == {"timestamp": "noon"}


@pytest.mark.parametrize("last", TO_STDLIB)
@pytest.mark.parametrize(
    "rendered",
    [None, structlog.processors.format_exc_info, structlog.processors.dict_tracebacks],
    ids=["raw", "text", "dictionaries"],
)
def test_structlogs_exceptions_through_the_standard_library(out, stdlib, last, rendered):
    """As `exc_info` or rendered by a processor, and the stack."""
    logs.configure_logging()
    logger = stdlib(
        structlog.processors.StackInfoRenderer(), *([rendered] if rendered else []), *TO_STDLIB[last]
    )
    try:
        raise ValueError("token=planted")
    except ValueError:
        logger.exception("failed", stack_info=True)
    (line,) = out()
    assert line["message"] == "failed"
    if last == "wrap_for_formatter":
        assert "Traceback (most recent call last):" in line["error.stack_trace"]
        assert "Stack (most recent call last):" in line["error.stack_trace"]
        if rendered is not structlog.processors.format_exc_info:
            assert (line["error.type"], line["error.message"]) == ("ValueError", "token=REDACTED")
        assert "labels" not in line
    assert "planted" not in str(line)


def test_structlogs_wrapped_event_of_any_shape(out, stdlib):
    """A message that is no text, a context class, an invalid exception: one line each."""
    logs.configure_logging()
    stdlib(WRAP, context_class=collections.OrderedDict).info("ordered", a=1)
    stdlib(WRAP).info(7, exc_info=True, exception=[{"odd": 1}], stack=5)
    stdlib(WRAP).info("falsy", exc_info=False, exception="", stack=None)
    logging.getLogger("app").info({"event": "of the application"})
    ordered, number, falsy, other = out()
    assert (ordered["message"], ordered["labels"]) == ("ordered", {"a": 1})
    assert number["message"] == "7"
    assert "odd" in number["error.stack_trace"]
    assert (falsy["message"], "error.stack_trace" in falsy, "labels" in falsy) == ("falsy", False, False)
    assert (other["message"], other["labels"]) == ("", {"event": "of the application"})


def test_dictionaries_behind_a_queue(out, stdlib):
    """A queue's handler turns them into text; the line has the dictionary, unless a filter changed the text."""
    logs.configure_logging()
    records = queue.Queue()
    root = logging.getLogger()
    handler, root.handlers = root.handlers[-1], [logging.handlers.QueueHandler(records)]
    with in_span():
        stdlib(WRAP).info("event", plan="free", exc_info=True)
    logging.getLogger("app").info({"message": "dictionary", "plan": "free"})
    changed = logging.handlers.QueueHandler(records)
    changed.addFilter(lambda record: setattr(record, "msg", "changed") or True)
    root.handlers = [changed]
    logging.getLogger("app").info({"message": "dictionary", "plan": "free"})
    try:
        raise ValueError("of the thread that writes")
    except ValueError:
        while not records.empty():
            handler.handle(records.get())
    event, dictionary, text = out()
    assert (event["message"], event["labels"], event["trace.id"]) == ("event", {"plan": "free"}, IDS[0])
    assert "error.type" not in event
    assert (dictionary["message"], dictionary["labels"]) == ("dictionary", {"plan": "free"})
    assert (text["message"], "labels" in text) == ("changed", False)


def test_structlogs_formatter_with_our_processor(stdlib):
    """The formatter of structlog writes ECS documents for its events and for other records."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level],
            processors=[logs.structlog_processor, structlog.processors.JSONRenderer()],
        )
    )
    logger = logging.getLogger("app")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        with in_span():
            stdlib(WRAP).info("event", plan="free")
            logger.info("record")
    finally:
        logger.handlers, logger.propagate = [], True
    event, record = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (event["message"], event["labels"], event["trace.id"]) == ("event", {"plan": "free"}, IDS[0])
    assert (record["message"], record["trace.id"], "labels" in record) == ("record", IDS[0], False)


# loguru ------------------------------------------------------------------------------------------


def test_loguru_hands_on_to_the_standard_library(out):
    """`PropagateHandler` of its documentation: one line, with fields, exception and ids."""

    class PropagateHandler(logging.Handler):
        def emit(self, record):
            logging.getLogger(record.name).handle(record)

    logs.configure_logging()
    loguru.logger.remove()
    sink = loguru.logger.add(PropagateHandler(), format=lambda record: "{message}")
    try:
        with in_span():
            loguru.logger.bind(plan="free").info("m")
    finally:
        loguru.logger.remove(sink)
    (line,) = out()
    assert (line["message"], line["labels"], line["trace.id"]) == ("m", {"plan": "free"}, IDS[0])


def test_loguru_takes_the_standard_librarys_records(out):
    """`InterceptHandler` of its documentation, with our handler as loguru's sink: one line."""

    class InterceptHandler(logging.Handler):
        def emit(self, record):
            loguru.logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())

    logs.configure_logging()
    root = logging.getLogger()
    ours, root.handlers = root.handlers[-1], [InterceptHandler()]
    loguru.logger.remove()
    sink = loguru.logger.add(ours, format=lambda record: "{message}")
    try:
        with in_span():
            logging.getLogger("app").warning("token=%s", "planted")
    finally:
        loguru.logger.remove(sink)
    (line,) = out()
    assert (line["message"], line["log.level"], line["trace.id"]) == ("token=REDACTED", "warning", IDS[0])


def test_loguru(out):
    """The recipe of our documentation: a handler of the standard library is a sink."""
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
