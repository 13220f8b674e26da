"""Rare cases: failing packages, records of other classes, a closed stdout."""

from __future__ import annotations

import io
import json
import logging
import pickle
import sys
import warnings
from logging.handlers import SocketHandler
from types import ModuleType, SimpleNamespace

import pytest
import structlog
from opentelemetry import trace

from eco2_tracing import configure_logging, logs
from eco2_tracing.logs._uncaught import UncaughtHooks
from tests.support.hostile import Unreadable

IDS = (f"{1:032x}", f"{2:016x}")


class OthersRecord(logging.LogRecord):
    pass


@pytest.fixture
def others_factory():
    """Install another library's factory, and ours around it."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(OthersRecord)
    logs.TraceContextFilter()
    yield
    logs.reset_logging()
    logging.setLogRecordFactory(before)


@pytest.fixture
def celery_signals(monkeypatch):
    """Send Celery's signals to a worker that redirects nothing."""
    celery = pytest.importorskip("celery", reason="Celery is not installed")
    signals = pytest.importorskip("celery.signals")
    app = SimpleNamespace(conf=SimpleNamespace(worker_redirect_stdouts=False))
    monkeypatch.setattr(celery, "current_app", app)  # its `log` would be missed
    return signals


def test_a_package_that_is_named_celery(out, monkeypatch):
    """It has no signals; logging is configured and reset nevertheless."""
    monkeypatch.delitem(sys.modules, "celery.signals", raising=False)
    monkeypatch.setitem(sys.modules, "celery", ModuleType("celery"))
    root = logging.getLogger()
    configure_logging()
    root.info("line")
    logs.reset_logging()
    assert [line["message"] for line in out()] == ["line"]
    assert root.handlers == []


def test_celerys_log_file(out, celery_signals, tmp_path):
    """Lines are written to the file as well until logging is reset; stdout is not replaced."""
    path, stdout = tmp_path / "worker.log", sys.stdout
    configure_logging()
    celery_signals.setup_logging.send(sender=None, loglevel=logging.INFO, logfile=str(path))
    assert sys.stdout is stdout
    logging.getLogger().warning("token=planted")
    logs.reset_logging()
    logging.getLogger().warning("later")
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["message"] == "token=REDACTED"
    assert [each["message"] for each in out()] == ["token=REDACTED"]
    assert celery_signals.setup_logging.send(sender=None, loglevel=logging.INFO, logfile=str(path)) == []


def test_another_class_through_a_socket(others_factory):
    """A pickled record of another class has its ids as plain values."""
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    with trace.use_span(span):
        record = logging.getLogger("app").makeRecord("app", logging.INFO, "f.py", 1, "m", (), None)
    assert type(record) is OthersRecord
    sent = SocketHandler("localhost", 0).makePickle(record)
    assert b"eco2_tracing" not in sent
    received = logging.makeLogRecord(pickle.loads(sent[4:]))
    assert received.__dict__["_eco2_context"] == (*IDS, {})
    line = json.loads(logs.EcsFormatter().format(received))
    assert (line["trace.id"], line["span.id"]) == IDS


def test_made_by_another_factory(others_factory):
    """`makeLogRecord` captures no context for a record of another class: it may be a copy."""
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))):
        record = logging.makeLogRecord({"msg": "m"})
    assert type(record) is OthersRecord
    assert "_eco2_context" not in record.__dict__


def test_a_logger_whose_name_is_no_text(out):
    """A line is written without its context if that cannot be captured."""
    configure_logging()
    logger = logging.Logger(7)  # noqa: LOG001 - `getLogger` refuses it
    logger.parent = logging.getLogger()
    logger.warning("line")
    (line,) = out()
    assert (line["message"], line["log.level"]) == ("line", "warning")


def test_the_filter_on_a_record_that_cannot_be_read():
    """The record passes, with the default."""
    record = logging.makeLogRecord({"extra": {}, "threadName": Unreadable()})
    assert logs.TraceContextFilter("none").filter(record)
    assert (record.trace_id, record.span_id) == ("none", "none")


@pytest.mark.parametrize("is_known", [True, False], ids=["structlog's", "another shape"])
def test_an_exception_that_structlog_took_apart(is_known):
    """`dict_tracebacks` becomes a traceback, the cause first, without variables; other lists become text."""
    shape = (
        structlog.processors.dict_tracebacks if is_known else (lambda *_: {"exception": [{"a": "token=b"}]})
    )
    variable = "in a variable"
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("token=planted") from inner
    except ValueError as error:
        event = shape(None, "error", {"event": "m", "exc_info": error})
    line = logs.structlog_processor(None, "error", {"event": "m"} | event)
    text = line["error.stack_trace"]
    assert "planted" not in str(line)
    assert variable not in text
    if is_known:
        assert (line["error.type"], line["error.message"]) == ("ValueError", "token=REDACTED")
        assert text.index("KeyError: 'inner'") < text.index("ValueError: token=REDACTED")
        assert f'File "{__file__}", line ' in text
    else:
        assert "error.type" not in line
        assert "token" in text


def test_a_stdout_that_went_away(monkeypatch):
    """Lines for a closed stream are lost until there is another stream."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", first)
    configure_logging()
    first.close()
    monkeypatch.setattr(sys, "stdout", None)
    logging.getLogger().warning("lost")
    monkeypatch.setattr(sys, "stdout", second)
    logging.getLogger().warning("written")
    assert [json.loads(line)["message"] for line in second.getvalue().splitlines()] == ["written"]


def test_hooks_that_are_undone_twice():
    """A second undo changes nothing: warnings that the application captures since stay captured."""
    hooks, python = UncaughtHooks(lambda write: True), warnings.showwarning
    hooks.install()
    hooks.undo()
    assert warnings.showwarning is python
    logging.captureWarnings(True)
    try:
        hooks.undo()
        assert warnings.showwarning is not python
    finally:
        logging.captureWarnings(False)


def test_a_handler_that_raises_at_the_end(out, monkeypatch, capsys):
    """Python's own hook writes an exception that cannot be logged."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    configure_logging()
    broken = logging.Handler()
    broken.emit = lambda record: 1 / 0
    logging.getLogger().addHandler(broken)
    error = RuntimeError("the end")
    sys.excepthook(RuntimeError, error, None)
    assert "RuntimeError: the end" in capsys.readouterr().err
