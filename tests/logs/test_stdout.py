"""Lines are written to the process's stdout once and without loops, whatever replaces `sys.stdout`."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys
import threading

import pytest

from eco2_tracing import logs
from tests.logs.conftest import STDOUT
from tests.support import programs

log = logging.getLogger("stdout")


class StreamToLogger:
    """The common recipe to log what is printed."""

    encoding = "utf-8"

    def __init__(self, change=str):
        self.change = change

    def write(self, text):
        """Log each line."""
        for line in text.rstrip().splitlines():
            logging.getLogger("printed").info(self.change(line.rstrip()))

    def flush(self):
        """Do nothing."""


def celerys(change):
    """The object with which Celery replaces `sys.stdout`."""
    proxy = pytest.importorskip("celery.utils.log", reason="Celery is not installed").LoggingProxy
    return proxy(logging.getLogger("printed"), logging.INFO)


LOGGING_STREAMS = [(StreamToLogger, str), (celerys, str), (StreamToLogger, lambda line: f"stdout: {line}")]


@pytest.fixture
def process_stdout(request, out, monkeypatch):
    """Read the stdout of the process, which is also the interpreter's stream."""
    monkeypatch.setattr(sys, "__stdout__", request.node.stash[STDOUT])
    return out


@pytest.mark.parametrize(("make", "change"), LOGGING_STREAMS)
def test_what_is_printed_is_logged(process_stdout, make, change):
    """The logger's line and the printed one, once each."""
    logs.configure_logging()
    sys.stdout = make(change)
    log.info("from a logger")
    print("from print")
    first, second = process_stdout()
    assert first["message"] == "from a logger"
    assert second["message"].endswith("from print")


@pytest.mark.parametrize(
    ("make", "change"), [*LOGGING_STREAMS, (StreamToLogger, lambda line: repr(line)[:9])]
)
def test_stdout_logs_before_the_configuration(process_stdout, make, change):
    """The interpreter's stdout is used as soon as a line is logged again."""
    sys.stdout = make(change)
    logs.configure_logging()
    log.info("from a logger")
    log.info("again")
    print("p")
    messages = [line["message"] for line in process_stdout()]
    assert messages[:2] == ["from a logger", "again"]
    assert len(messages) == 3


def test_a_stream_that_logs_and_nothing_else(monkeypatch):
    """Without another stdout the line is lost, without a loop."""
    monkeypatch.setattr(sys, "__stdout__", None)
    monkeypatch.setattr(sys, "stdout", StreamToLogger())
    logs.configure_logging()
    log.info("lost")
    log.info("lost")


def test_a_signal_handler_that_logs_while_a_line_is_written(process_stdout):
    """The line of a signal handler is not lost."""
    logs.configure_logging()
    stream = sys.stdout
    write = stream.write

    def interrupted(text):
        stream.write = write
        log.info("from the signal handler")
        return write(text)

    stream.write = interrupted
    log.info("first")
    assert [line["message"] for line in process_stdout()] == ["from the signal handler", "first"]


def test_a_redirection_of_another_thread(process_stdout):
    """`redirect_stdout` gets what is printed, and no log lines."""
    logs.configure_logging()
    inside, logged = threading.Event(), threading.Event()

    def work():
        inside.wait()
        log.info("from another thread")
        logged.set()

    thread = threading.Thread(target=work)
    thread.start()
    with contextlib.redirect_stdout(io.StringIO()) as buffer:
        print("report")
        inside.set()
        logged.wait()
        log.info("from this thread")
        logs.configure_logging()
        log.info("after a second call")
    thread.join()
    assert buffer.getvalue() == "report\n"
    assert len(process_stdout()) == 3


@pytest.mark.parametrize("end", [io.TextIOWrapper.close, io.TextIOWrapper.detach], ids=["closed", "detached"])
def test_stdout_that_was_closed(monkeypatch, end):
    """After pytest's capture or `TextIOWrapper(sys.stdout.detach())`, the new stream is used."""
    first, second = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    monkeypatch.setattr(sys, "stdout", first)
    logs.configure_logging()
    log.info("first")
    end(first)
    log.info("lost")
    sys.stdout = second
    log.info("second")
    sys.stdout = io.StringIO()
    log.info("third")
    assert [json.loads(line)["message"] for line in second.getvalue().splitlines()] == ["second", "third"]


def test_no_stdout_at_first(monkeypatch):
    """Lines of a process without stdout are lost until it has one."""
    monkeypatch.setattr(sys, "stdout", None)
    logs.configure_logging()
    log.info("lost")
    sys.stdout = stream = io.StringIO()
    log.info("written")
    assert json.loads(stream.getvalue())["message"] == "written"


def test_pytests_capture(capsys):
    """An application's test reads lines from `capsys`, even if logging was configured before."""
    logs.configure_logging()
    log.info("first")
    first = capsys.readouterr().out
    with capsys.disabled():
        pass
    log.info("second")
    second = capsys.readouterr().out
    assert [json.loads(text)["message"] for text in (first, second)] == ["first", "second"]


def test_pytests_capture_begins_after_the_configuration(request):
    """Logging is configured while the application's module is imported."""
    logs.configure_logging()
    capsys = request.getfixturevalue("capsys")
    log.info("m")
    assert json.loads(capsys.readouterr().out)["message"] == "m"


WRITES_LONG_LINES = """
import logging, threading, eco2_tracing
eco2_tracing.configure_logging()
logger = logging.getLogger("long")
def write():
    for number in range(100):
        logger.error("%s %d", "x" * 9000, number)
threads = [threading.Thread(target=write) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_long_lines_of_several_processes():
    """Those of workers whose common pipe is full are whole, such as lines with stack traces."""
    reads, writes = os.pipe()
    with os.fdopen(writes, "wb") as out:
        command = [sys.executable, "-c", WRITES_LONG_LINES]
        processes = [programs.start(command, stdout=out, stderr=out, env=os.environ) for _ in range(3)]
    with os.fdopen(reads, "rb") as pipe:
        lines = pipe.readlines()
    assert [process.wait() for process in processes] == [0, 0, 0]
    numbers = [json.loads(line)["message"].split()[1] for line in lines]
    assert sorted(map(int, numbers)) == sorted([*range(100)] * 6)


def test_a_long_line_without_a_descriptor(monkeypatch):
    """It is written as others are."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    logs.configure_logging()
    log.error("y" * 5000)
    assert json.loads(stream.getvalue())["message"] == "y" * 5000
