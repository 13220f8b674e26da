"""Lines that are written later or elsewhere have the ids and bound fields of the log call, or none."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import io
import json
import logging
import logging.handlers
import multiprocessing
import pickle
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager

import loguru
import pytest
import structlog
from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter

from eco2_tracing import logs
from tests.support.requests import begin_request, end_request

OWN = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
OTHER = ("11111111111111111111111111111111", "2222222222222222")
log = logging.getLogger("handover")


@contextmanager
def request(ids=OWN, **fields):
    """Work on a request with these ids and bound fields."""
    token = begin_request()
    logs.bind_log_fields(**fields)
    span = trace.NonRecordingSpan(trace.SpanContext(int(ids[0], 16), int(ids[1], 16), is_remote=True))
    try:
        with trace.use_span(span):
            yield
    finally:
        end_request(token)


def ids(line):
    """The ids of a line."""
    return (line["trace.id"], line["span.id"]) if "trace.id" in line else None


class BatchExporter(logging.StreamHandler):
    """A handler of the application with our formatter."""

    def __init__(self):
        super().__init__(io.StringIO())
        self.setFormatter(logs.EcsFormatter())

    def lines(self):
        """The lines."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def line(self):
        """The only line."""
        (line,) = self.lines()
        return line


@pytest.fixture
def sink():
    """A handler that is not attached to any logger."""
    return BatchExporter()


@pytest.fixture
def attach():
    """Send a logger's records to one handler alone."""

    def to(handler, logger=log):
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
        return logger

    yield to
    log.handlers, log.propagate = [], True


@pytest.fixture(autouse=True)
def _factory():
    """Restore the record factory."""
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


def carries_own(line, **fields):
    """Return True for a line of the request of the log call."""
    return ids(line) == OWN and line.get("labels") == fields


def carries_none(line):
    """Return True for a line without ids and fields."""
    return ids(line) is None and "labels" not in line and "user.id" not in line


@pytest.mark.parametrize("make", [queue.Queue, queue.SimpleQueue, multiprocessing.SimpleQueue])
def test_queue_and_listener(sink, attach, make):
    """The listener's thread is in another request; its records may be pickled."""
    records = make()
    if not hasattr(records, "put_nowait"):  # of multiprocessing
        records.put_nowait = records.put
    attach(logging.handlers.QueueHandler(records))
    with request(plan="free"):
        log.info("m %s", "x")
        logs.bind_log_fields(plan="paid")
    with request(OTHER, plan="other"):
        sink.handle(records.get())
    assert carries_own(sink.line(), plan="free")


def test_a_listener_that_inherits_the_context_of_a_request(sink, attach):
    """The listener's thread inherits a context, as with Python 3.14's `thread_inherit_context`."""
    records = queue.Queue()
    listener = logging.handlers.QueueListener(records, sink)
    attach(logging.handlers.QueueHandler(records))
    with request(OTHER, plan="other"):
        context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(listener._monitor,))
    thread.start()
    log.info("outside")
    with request(plan="free"):
        try:
            raise ValueError("x")
        except ValueError:
            log.exception("inside")
    listener.enqueue_sentinel()
    thread.join()
    outside, inside = sink.lines()
    assert carries_none(outside)
    assert carries_own(inside, plan="free")


def test_the_handler_of_configure_logging_behind_a_queue(out):
    """An application's queue keeps the event loop from waiting for the disk."""
    logs.configure_logging()
    root = logging.getLogger()
    records = queue.Queue()
    listener = logging.handlers.QueueListener(records, root.handlers[-1])
    root.handlers = [logging.handlers.QueueHandler(records)]
    listener.start()
    with request(user_id="7"):
        log.info("m")
    listener.stop()
    (line,) = out()
    assert (ids(line), line["user.id"]) == (OWN, "7")


def test_memory_handler(sink, attach):
    """A buffer is flushed by whichever request fills it, with the fields that were bound at each call."""
    buffer = logging.handlers.MemoryHandler(3, target=sink)
    attach(buffer)
    log.info("outside")
    with request(plan="free"):
        log.info("first")
        logs.bind_log_fields(plan="paid")
        log.info("second")
    with request(OTHER, plan="other"):
        log.error("third")
    outside, first, second, third = sink.lines()
    assert carries_none(outside)
    assert carries_own(first, plan="free")
    assert carries_own(second, plan="paid")
    assert ids(third) == OTHER


def test_the_duration_of_a_request_ends_with_its_access_line(sink, attach, monkeypatch):
    """The time in a buffer is not part of the duration."""
    access = logging.getLogger("uvicorn.access")
    buffer = logging.handlers.MemoryHandler(9, target=sink)
    attach(buffer, access)
    token = begin_request({"headers": [(b"user-agent", b"curl/8")]})
    access.info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/", "1.1", 200)
    end_request(token)
    buffer.buffer[0].created -= 3600
    with request(OTHER):
        buffer.flush()
    access.handlers, access.propagate = [], True
    line = sink.line()
    assert line["user_agent.original"] == "curl/8"
    assert line["event.duration"] == 0
    assert carries_none(line)


class Later(logging.Handler):
    """Passes records to a function."""

    def __init__(self, hand_over):
        super().__init__()
        self.emit = hand_over


def test_tasks_of_the_same_thread(sink, attach):
    """A consumer task, `call_soon` and an executor write what other tasks log."""

    async def main():
        loop = asyncio.get_running_loop()
        records = asyncio.Queue()
        done = []

        def hand_over(record):
            records.put_nowait(record)
            other = contextvars.copy_context()
            other.run(trace.context_api.attach, trace.set_span_in_context(trace.INVALID_SPAN))
            loop.call_soon(sink.handle, record, context=context)
            done.append(loop.run_in_executor(None, context.copy().run, sink.handle, record))

        async def consume():
            with request(OTHER, plan="other"):
                sink.handle(await records.get())

        with request(OTHER, plan="other"):
            context = contextvars.copy_context()
            consumer = asyncio.create_task(consume())
        attach(Later(hand_over))
        with request(plan="free"):
            log.info("m")
        await asyncio.gather(consumer, *done)

    asyncio.run(main())
    lines = sink.lines()
    assert len(lines) == 3
    assert all(carries_own(line, plan="free") for line in lines)


def test_two_handlers(sink, attach):
    """Two handlers write the same, one now and one later."""
    buffer = logging.handlers.MemoryHandler(9, target=sink)
    attach(buffer)
    log.addHandler(sink)
    with request(plan="free"):
        log.info("m")
    with request(OTHER):
        buffer.flush()
    assert all(carries_own(line, plan="free") for line in sink.lines())
    assert len(sink.lines()) == 2


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda record: pickle.loads(pickle.dumps(record))]
)
def test_copies(sink, attach, copied):
    """A copied or pickled record has the context of the original."""
    records = []
    attach(Later(records.append))
    with request(plan="free", password="planted"):
        log.info("m")
    log.info("outside")
    with request(OTHER, plan="other"):
        for record in records:
            sink.handle(copied(record))
    first, outside = sink.lines()
    assert carries_own(first, plan="free", password="REDACTED")
    assert carries_none(outside)


def test_a_pickled_record_needs_no_package(attach):
    """A process without this library can read it."""
    records = []
    attach(Later(records.append))
    with request(plan="free", thing=object()):
        log.info("m")
    program = (
        "import sys, pickle; record = pickle.load(sys.stdin.buffer);"
        "assert not any('eco2' in name for name in sys.modules if name != 'eco2_tracing'), sys.modules;"
        "print(type(record).__name__, record.getMessage())"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], input=pickle.dumps(records[0]), capture_output=True, check=True
    )
    assert done.stdout == b"LogRecord m\n"


def test_sockets(sink, attach):
    """A received record has the ids that the sender set, and none of the receiver."""
    sender = logging.handlers.SocketHandler("localhost", None)
    sent = []
    sender.send = lambda data: sent.append(pickle.loads(data[4:]))
    attach(sender)
    with request(plan="free"):
        log.info("plain")
        sender.addFilter(logs.TraceContextFilter())
        log.info("with ids")
    receiver = attach(sink, logging.getLogger("handover.receiver"))
    with request(OTHER, plan="other"):
        for attributes in sent:
            receiver.handle(logging.makeLogRecord(attributes))
    plain, with_ids = sink.lines()
    assert carries_none(plain)
    assert ids(with_ids) == OWN
    assert "labels" not in with_ids


@pytest.mark.parametrize(
    "carried",
    [
        "x",
        (1, 2),
        ("0" * 32, "0" * 16, {}),
        ('","message":"forged', "x", None),
        (None, None, ["user_id"]),
        {},
    ],
)
def test_what_a_sender_forges(sink, carried):
    """Nothing but ids and fields is read from a received record."""
    with request(OTHER):
        sink.handle(logging.makeLogRecord({"msg": "m", "created": 1.0, "_eco2_context": carried}))
    line = sink.line()
    assert line["message"] == "m"
    assert carries_none(line)


def test_records_that_an_application_makes(sink, attach):
    """`makeLogRecord` captures the context, and so does `makeRecord`."""
    attach(sink)
    with request(plan="free"):
        log.handle(logging.makeLogRecord({"msg": "made", "levelno": 20, "name": "x"}))
        log.handle(log.makeRecord("x", 20, "f", 1, "made", (), None))
    assert [ids(line) for line in sink.lines()] == [OWN, OWN]


# Record factories of others ----------------------------------------------------------------------


class ForeignRecord(logging.LogRecord):
    """A record class of the application."""

    def getMessage(self):
        """Format with braces."""
        return str(self.msg).format(*self.args)


def chained(previous):
    """A factory as the documentation of `logging` recommends it."""

    def factory(*args, **kwargs):
        record = previous(*args, **kwargs)
        record.custom = 1
        return record

    return factory


@pytest.mark.parametrize("first", ["theirs", "ours"])
@pytest.mark.parametrize(
    ("theirs", "kind"),
    [
        (ForeignRecord, ForeignRecord),
        (chained(logging.LogRecord), logging.LogRecord),
        (chained(ForeignRecord), ForeignRecord),
    ],
)
def test_factories_of_others(attach, theirs, kind, first):
    """In any order: the class of the records is kept; lines within the call have ids, later ones those or none."""
    if first == "theirs":
        logging.setLogRecordFactory(theirs)
    sink, late = BatchExporter(), BatchExporter()
    if first == "ours":
        logging.setLogRecordFactory(theirs)
    buffer = logging.handlers.MemoryHandler(9, target=late)
    attach(sink)
    log.addHandler(buffer)
    with request(plan="free"):
        log.info("m", extra={"plan": "own"})
    (record,) = buffer.buffer
    with request(OTHER, plan="other"):
        buffer.flush()
    assert isinstance(record, kind)
    assert ids(sink.line()) == OWN
    assert sink.line()["labels"]["plan"] == "own"
    assert ids(late.line()) == (OWN if first == "theirs" else None)
    assert late.line()["labels"]["plan"] == "own"


def test_a_factory_around_ours(attach, sink):
    """A factory around ours, like that of opentelemetry-instrumentation-logging: ours is not installed twice."""
    logging.setLogRecordFactory(chained(logging.getLogRecordFactory()))
    before = logging.getLogRecordFactory()
    logs.EcsFormatter()
    logs.TraceContextFilter()
    assert logging.getLogRecordFactory() is before
    buffer = logging.handlers.MemoryHandler(9, target=sink)
    attach(buffer)
    with request(plan="free"):
        log.info("m")
    buffer.flush()
    assert ids(sink.line()) == OWN


def test_configure_logging_after_a_factory_that_replaced_ours(out):
    """A second call installs it again."""
    logs.configure_logging()
    logging.setLogRecordFactory(logging.LogRecord)
    logs.configure_logging()
    assert logging.getLogRecordFactory() is not logging.LogRecord
    logs.reset_logging()
    assert logging.getLogRecordFactory() is logging.LogRecord


def test_a_factory_that_fails_is_the_applications(attach, sink):
    """It raises as it does without this library."""

    def failing(*args, **kwargs):
        raise ValueError("theirs")

    logging.setLogRecordFactory(failing)
    attach(BatchExporter())
    with pytest.raises(ValueError, match="theirs"):
        log.info("m")


def test_a_logger_that_makes_its_own_records(sink):
    """Lines within the call have ids even if no factory is called."""

    class Own(logging.Logger):
        def makeRecord(self, name, level, fn, lno, msg, args, exc_info, *more, **named):
            return logging.LogRecord(name, level, fn, lno, msg, args, exc_info)

    logger = Own("own", logging.INFO)
    buffer = logging.handlers.MemoryHandler(9, target=sink)
    logger.addHandler(sink)
    logger.addHandler(buffer)
    with request(plan="free"):
        logger.info("m")
    with request(OTHER, plan="other"):
        logger.error("flushes")
    now, flushing, late, flushed = sink.lines()
    assert carries_own(now, plan="free")
    assert carries_none(late)
    assert ids(flushing) == ids(flushed) == OTHER


def test_other_formatters_do_not_see_the_context(attach):
    """A record has no attribute that other formatters would write as a field."""
    logs.EcsFormatter()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("%(message)s"))
    records = []
    attach(handler)
    log.addHandler(Later(records.append))
    with request(plan="free"):
        log.info("m")
    assert json.loads(stream.getvalue()) in ({"message": "m"}, {"message": "m", "taskName": None})
    assert set(records[0].__dict__) - set(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) <= {
        "message"
    }


def test_the_formatter_of_another_package_with_our_filter(attach):
    """python-json-logger writes the ids of the filter, renamed."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    names = {"trace_id": "trace.id", "span_id": "span.id"}
    handler.setFormatter(JsonFormatter("%(message)s", rename_fields=names))
    handler.addFilter(logs.TraceContextFilter())
    attach(handler)
    with request():
        log.info("m")
    assert ids(json.loads(stream.getvalue())) == OWN


# Ids that others put on records ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"otelTraceID": OTHER[0], "otelSpanID": OTHER[1]}, OTHER),
        ({"otelTraceID": "0", "otelSpanID": "0"}, None),
        ({"otelTraceID": "0" * 32, "otelSpanID": "0" * 16}, None),
        ({"otelTraceID": OTHER[0]}, None),
        ({"otelTraceID": '"},{"forged":"', "otelSpanID": OTHER[1]}, None),
        ({"otelTraceID": int(OTHER[0]), "otelSpanID": OTHER[1]}, None),
    ],
)
def test_ids_of_contribs_instrumentation(attach, given, expected):
    """They are used if there are no others, and are no fields."""
    sink = BatchExporter()
    attach(sink)
    log.info("m", extra={**given, "otelTraceSampled": True, "otelServiceName": "s"})
    with request():
        log.info("m", extra=given)
    outside, inside = sink.lines()
    assert (ids(outside), ids(inside)) == (expected, OWN)
    assert "labels" not in outside


def test_the_filter_on_a_handler_that_writes_later(attach):
    """A format string of the application has the ids of the log call, or the default."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(trace_id)s %(span_id)s"))
    handler.addFilter(logs.TraceContextFilter())
    buffer = logging.handlers.MemoryHandler(9, target=handler)
    attach(buffer)
    with request():
        log.info("m")
    log.info("m")
    with request(OTHER):
        buffer.flush()
    assert stream.getvalue() == f"{OWN[0]} {OWN[1]}\n- -\n"


def test_an_exceptions_ids_behind_a_queue(sink, attach):
    """A server logs the traceback after the context is gone; the queue drops the exception."""
    records = queue.Queue()
    attach(logging.handlers.QueueHandler(records))
    error = ValueError("x")
    error.__eco2_trace_ids__ = (int(OWN[0], 16), int(OWN[1], 16))
    log.error("m", exc_info=error)
    sink.handle(records.get())
    assert ids(sink.line()) == OWN


# structlog and loguru ----------------------------------------------------------------------------


@pytest.mark.parametrize("meta", [[], [structlog.stdlib.ProcessorFormatter.remove_processors_meta]])
def test_structlogs_formatter_behind_a_buffer(attach, meta):
    """Its processors run when the line is written: the context is that of the record."""
    logs.TraceContextFilter()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[*meta, logs.structlog_processor, structlog.processors.JSONRenderer()]
        )
    )
    buffer = logging.handlers.MemoryHandler(9, target=handler)
    attach(buffer)
    log.addHandler(handler)
    with request(plan="free"):
        log.info("m")
    with request(OTHER, plan="other"):
        buffer.flush()
    now, late = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert carries_own(now, plan="free")
    assert carries_own(late, plan="free") or carries_none(late)


@pytest.mark.parametrize("is_known", [True, False])
def test_loguru_with_a_thread_of_its_own(sink, is_known):
    """`enqueue=True` makes records in a thread: the ids are those of the recipe's patcher, or none."""

    def add_ids(record):
        record["extra"].update(otelTraceID=OWN[0], otelSpanID=OWN[1])

    logger = loguru.logger.patch(add_ids) if is_known else loguru.logger
    loguru.logger.remove()
    with request(OTHER, plan="other"):
        context = contextvars.copy_context()
    started, threading.Thread.start = threading.Thread.start, inheriting(context)
    try:
        handler = loguru.logger.add(sink, format=lambda record: "{message}", enqueue=True)
    finally:
        threading.Thread.start = started
    with request():
        logger.info("m")
    loguru.logger.remove(handler)
    line = sink.line()
    assert ids(line) == (OWN if is_known else None)
    assert "labels" not in line


def inheriting(context):
    """Start threads in a context, as instrumentations of threads do."""
    start = threading.Thread.start

    def started(thread):
        run = thread.run
        thread.run = lambda: context.run(run)
        start(thread)

    return started
