"""Log lines of files and streams, in their traces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from eco2_tracing._cli import main
from eco2_tracing._view import log_files
from eco2_tracing._view.log_files import FollowedFile, LineReader, follow_stream
from eco2_tracing._view.store import Store
from tests.view.requests import BEGIN, TRACE, logs, wait_until
from tests.view.test_commands import FREE, folder, get, stored

__all__ = ["folder", "stored"]
SPAN = "00f067aa0ba902b7"
TIME = "2023-11-14T22:13:20.020Z"
BROKE = "Traceback (most recent call last):\n  File 'a'\nshop.NoCoupon: A7"


@pytest.fixture
def store():
    """A store in memory."""
    made = Store()
    yield made
    made.close()


def line(text="hello", **fields):
    """A line as this library writes it."""
    return json.dumps(
        {"@timestamp": TIME, "log.level": "info", "message": text, "trace.id": TRACE, "span.id": SPAN}
        | fields
    )


def read(store, *lines):
    """The log lines of the trace, after these lines were read."""
    LineReader(store, "app.log").feed("".join(f"{one}\n" for one in lines).encode("utf-8", "surrogatepass"))
    trace = store.get(TRACE)
    return [] if trace is None else list(trace.lines)


def messages(store):
    """The messages of the trace."""
    trace = store.get(TRACE)
    return [] if trace is None else [each["message"] for each in trace.lines]


@pytest.mark.parametrize(
    "fields",
    [
        {"@timestamp": TIME, "log.level": "warning", "message": "m", "log.logger": "shop", "service.name": "s",
         "trace.id": TRACE, "span.id": SPAN, "error.type": "shop.NoCoupon", "error.message": "A7",
         "error.stack_trace": BROKE, "labels.size": 7, "ecs.version": "8.11.0"},
        {"@timestamp": TIME, "log": {"level": "WARN", "logger": "shop"}, "message": "m", "service": {"name": "s"},
         "trace": {"id": TRACE}, "span": {"id": SPAN}, "labels": {"size": 7},
         "error": {"type": "shop.NoCoupon", "message": "A7", "stack_trace": BROKE}},
        {"asctime": "2023-11-14 22:13:20,020+00:00", "levelname": "WARNING", "name": "shop", "message": "m",
         "service_name": "s", "trace_id": TRACE.upper(), "span_id": SPAN, "exc_info": BROKE, "labels.size": 7},
        {"timestamp": 1700000000.02, "level": "warning", "logger": "shop", "event": "m", "otelServiceName": "s",
         "otelTraceID": TRACE, "otelSpanID": SPAN, "exception": BROKE, "labels.size": 7, "otelTraceSampled": True},
        {"ts": 1700000000020, "severity": "warn", "logger_name": "shop", "msg": "m", "service": "s",
         "traceId": f"0x{TRACE}", "spanId": f"0x{SPAN}", "exception": BROKE, "labels.size": 7},
    ],
    ids=["ecs", "ecs nested", "python-json-logger", "structlog", "others"],
)  # fmt: skip
def test_the_shapes_of_lines(store, fields):
    """Each is the same log line."""
    (found,) = read(store, json.dumps(fields))
    assert found == {
        "@timestamp": "2023-11-14T22:13:20.020000+00:00", "log.level": "warning", "message": "m", "log.logger": "shop",
        "service.name": "s", "trace.id": TRACE, "span.id": SPAN, "error.type": "shop.NoCoupon", "error.message": "A7",
        "error.stack_trace": BROKE, "labels.size": 7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        (TIME, BEGIN + 20_000_000),
        (1_700_000_000, BEGIN),
        (1_700_000_000_000_000, BEGIN),
        (BEGIN, BEGIN),
        (None, 0),
        ("soon", 0),
        ("0001-01-01T00:00:00+00:00", 0),
        (True, 10**9),
        (10**30, 0),
        (-1, 0),
    ],
)
def test_the_times_of_lines(store, written, moment):
    """ISO 8601, or a number in seconds, milli-, micro- or nanoseconds; without one, the time of reading."""
    before = datetime.now(UTC)
    (found,) = read(store, line(**{"@timestamp": written}))
    time = datetime.fromisoformat(found["@timestamp"])
    if moment:
        assert time == datetime.fromtimestamp(moment / 1e9, UTC)
    else:
        assert before <= time <= datetime.now(UTC)


def test_the_fields_of_lines(store):
    """Values keep their types; what is nested too deep, and integers that are too large, are text."""
    deep = {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}
    (found,) = read(
        store, line(**deep, yes=True, share=0.5, large=2**63, tags=["x"], none=None, note="\ufffd")
    )
    assert {key: found[key] for key in ("yes", "share", "large", "tags", "note")} == {
        "yes": True, "share": 0.5, "large": str(2**63), "tags": '["x"]', "note": "\ufffd",
    }  # fmt: skip
    assert found["a.b.c.d.e"] == '{"f":1}'
    assert "none" not in found
    (_, named) = read(store, line("named", name="mina", **{"log.logger": "shop"}))
    assert (named["log.logger"], named["name"]) == ("shop", "mina")
    (*_, many) = read(store, line("many", **{f"f{at}": at for at in range(500)}))
    assert len(many) < 150


def test_a_stack_that_names_no_exception(store):
    """It is the stack alone."""
    (found,) = read(store, line(exc_info="  something else!"))
    assert (found["error.stack_trace"], found.get("error.type")) == ("  something else!", None)


def test_lines_that_are_left_out_are_counted(store):
    """Those that are no JSON objects, too long, or without a trace id; invalid UTF-8 becomes U+FFFD."""
    reader = LineReader(store, "app.log")
    long = "x" * 300_000
    reader.feed(f"INFO: started\n\n[1]\n{line(long)}\n{line('then')}\n".encode())
    for piece in (long[:200_000], long[:200_000], long, "\n", line("after") + "\n"):
        reader.feed(piece.encode())
    reader.feed(line(**{"trace.id": "0"}).encode() + b"\n" + line(**{"trace.id": "no hex"}).encode() + b"\n")
    reader.feed(line("broken").replace("broken", "br\udcffken").encode("utf-8", "surrogateescape") + b"\n")
    assert messages(store) == ["then", "after", "br\ufffdken"]
    assert store.counts()["refused"] == {
        "log lines that are no JSON objects": 2,
        "log lines that are too long": 2,
        "log records without a trace id": 2,
    }


def test_a_line_in_pieces(store):
    """It is added once it is complete; the last one may have no end."""
    reader = LineReader(store, "app.log")
    for byte in line("slow").encode():
        reader.feed(bytes((byte,)))
    assert messages(store) == []
    reader.feed(b"\r\n" + line("last").encode())
    reader.end()
    reader.end()
    assert messages(store) == ["slow", "last"]


def test_what_was_sent_too_is_shown_once(store):
    """A line is the same as a record over OTLP with its span, level, message and millisecond."""
    store.add_logs(logs(text="both", span_id=int(SPAN, 16)))
    again = line("both", **{"log.level": "warning"})
    found = read(store, again, again.replace("20.020Z", "20.021Z"), line("both"), line("alone"))
    assert [each["message"] for each in found] == ["both", "both", "alone", "both"]
    assert read(store, again) == found  # the same line is held once


def test_a_file_is_followed(store, tmp_path):
    """What it has, what is appended, after it was replaced or truncated, and what is written at the end."""
    path = tmp_path / "app.log"
    path.write_text(line("one") + "\n")
    with FollowedFile(store, str(path)):
        wait_until(lambda: messages(store) == ["one"])
        with path.open("a") as file:
            file.write(line("two") + "\n" + line("three"))
        wait_until(lambda: "two" in messages(store))
        path.rename(tmp_path / "app.log.1")
        with (tmp_path / "app.log.1").open("a") as file:
            file.write("\n" + line("3.5") + "\n")
        wait_until(lambda: "3.5" in messages(store))
        path.write_text(line("four") + "\n" + line("half")[:9])
        wait_until(lambda: "four" in messages(store))
        path.write_text("")
        with path.open("a") as file:
            file.write(line("5") + "\n")
        wait_until(lambda: "5" in messages(store))
        path.unlink()
        path.write_text(line("six"))
    assert sorted(messages(store)) == ["3.5", "5", "four", "one", "six", "three", "two"]
    assert store.counts()["refused"] == {}


def test_a_file_is_waited_for(store, tmp_path):
    """It need not exist; what is no file is an error."""
    with FollowedFile(store, str(tmp_path / "none.log")):
        pass
    path = tmp_path / "late.log"
    with FollowedFile(store, str(path)):
        path.write_text(line("late") + "\n")
        wait_until(lambda: messages(store) == ["late"])
    with pytest.raises(OSError, match="is no file"), FollowedFile(store, str(tmp_path)):
        pass


def test_a_large_file_is_read_from_its_end(store, tmp_path, monkeypatch):
    """From a whole line on."""
    monkeypatch.setattr(log_files, "_EARLIER", 1000)
    monkeypatch.setattr(log_files, "_PER_READ", 100)
    path = tmp_path / "large.log"
    path.write_text("".join(line(str(at)) + "\n" for at in range(100)))
    with FollowedFile(store, str(path)):
        pass
    found = messages(store)
    assert 2 < len(found) < 10
    assert found[-1] == "99"
    assert store.counts()["refused"] == {}


def pipe(store, data, output):
    """Follow a pipe with some data until its end."""
    reads, writes = os.pipe()
    os.write(writes, data)
    finish = follow_stream(store, reads, output, "standard output")
    os.close(writes)
    finish(20)


def test_a_stream_is_passed_on(store, tmp_path):
    """Byte for byte; a closed output does not stop the reading."""
    data = b"\xff\x00no line\n" + line("piped").encode()
    path = tmp_path / "output"
    output = os.open(path, os.O_CREAT | os.O_WRONLY)
    pipe(store, data, output)
    assert path.read_bytes() == data
    os.close(output)
    pipe(store, line("unread").encode() + b"\n" + line("more").encode(), output)
    assert sorted(messages(store)) == ["more", "piped", "unread"]


def test_a_stream_that_does_not_end(store):
    """Nothing is added after the time that is given."""
    reads, writes = os.pipe()
    output = os.open(os.devnull, os.O_WRONLY)
    follow_stream(store, reads, output, "standard output")(0)
    os.write(writes, line("late").encode() + b"\n")
    os.close(writes)
    wait_until(lambda: not any(thread.name == "view-logs" for thread in log_files.threading.enumerate()))
    os.close(output)
    assert messages(store) == []


def test_view_with_the_output_of_a_command(folder, capfd):
    """It is passed on, and its lines are in the trace once; nothing else sends log records."""
    command = [sys.executable, "job.py"]
    assert main(["view", "--terminal", *FREE, "--store", "t.db", "--logs", "-", "--", *command]) == 3
    printed = capfd.readouterr().out
    assert '"message":"looking for 7"' in printed
    store = Store("t.db")
    assert messages(store).count("looking for 7") == 1
    assert store.counts()["logs"] == len(messages(store))
    store.close()


def test_view_with_log_files(folder, capfd):
    """They are read with and without a command; a line that the command sends too is shown once."""
    command = [sys.executable, "-c", f"print('x'); open('app.log', 'w').write({line('written')!r})"]
    assert main(["view", "--terminal", *FREE, "--store", "t.db", "--logs", "app.log", "--", *command]) == 0
    store = Store("t.db")
    assert messages(store) == ["written"]
    store.close()
    assert main(["view", "--terminal", *FREE, "--logs", "."]) == 2
    assert "is no file" in capfd.readouterr().err


def test_view_with_standard_input(folder, stored):
    """It is passed on, and the viewer goes on after its end."""
    command = [
        sys.executable,
        "-m",
        "eco2_tracing",
        "view",
        "--port",
        "0",
        *FREE,
        "--store",
        stored,
        "--logs",
        "-",
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as viewer:
        page = viewer.stderr.readline().partition("traces at ")[2].partition(";")[0]
        print(line("typed"), file=viewer.stdin, flush=True)
        assert viewer.stdout.readline() == line("typed") + "\n"
        viewer.stdin.close()
        wait_until(lambda: b"typed" in get(f"{page}/api/traces/{TRACE}"))
        viewer.terminate()
        assert viewer.wait(20) == 0
