"""Objects that raise: one parseable line each, nothing raised, nothing on stderr."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

from eco2_tracing import logs
from tests.support.hostile import (
    ExitingError,
    ExitingMapping,
    Unreadable,
    UnreadableError,
    UnreadableMapping,
    UnreadableText,
)
from tests.support.requests import begin_request, end_request

log = logging.getLogger("hostile")


RECURSIVE: dict[object, object] = {}
RECURSIVE["self"] = [RECURSIVE]
WIDE = dict.fromkeys(range(50), RECURSIVE)
VALUES = [
    Unreadable(), UnreadableError(), UnreadableMapping(a=1), RECURSIVE, WIDE, "\ud800", {"\udfff": "\ud800"},
    2**70, -(2**70), float("nan"), float("inf"), b"\xff\x00", "x" * 10_000_000, [1] * 100_000, range(10**9),
    {str(number): 1 for number in range(10_000)}, {Unreadable(): 1}, "\u202eabc\u2028\x85\x7f\x9b\x1b[2J\x00",
    '"}\n{"@timestamp":"forged"', UnreadableText("text"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _silent(capsys):
    """Check that nothing is on stderr."""
    yield
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_hostile_values(out, value):
    """As message, argument, extra, label, bound field and exception."""
    logs.configure_logging()
    token = begin_request()
    logs.bind_log_fields(bound=value, **{"bound.too": value})
    log.info(value)
    log.info("%s", value)
    log.info("%d %s", value)  # noqa: PLE1206 - on purpose
    log.info("m", extra={"field": value, "a.b": value, "labels": {"c": value}})
    log.info({"message": value, "k": value})
    log.error("m", exc_info=RuntimeError(value))
    end_request(token)
    assert len(out()) == 6


MADE = {
    "itself": lambda: ExitingMapping(a=1),
    "in a list": lambda: [ExitingMapping()],
    "in a mapping": lambda: {"a": ExitingMapping()},
    "as a key": lambda: {ExitingError(): 1},
}


@pytest.mark.parametrize("made", MADE)
def test_fields_that_end_the_process_are_written_all_the_same(out, made):
    """Only the formatter calls these methods: without it, the process would go on."""
    value = MADE[made]()
    logs.configure_logging()
    token = begin_request()
    logs.bind_log_fields(bound=value, labels=value, **{"bound.too": value})
    log.info("m", extra={"field": value, "a.b": value, "labels": value, "kept": 1})
    log.error("m", exc_info=ExitingError())
    end_request(token)
    first, second = out()
    assert first["labels"]["kept"] == 1
    assert first["log.logger"] == second["log.logger"] == "hostile"
    assert second["error.message"] == "<unprintable ExitingError>"


def test_arguments_that_do_not_fit(out):
    """The template and the arguments as text."""
    logs.configure_logging()
    log.info("%d apples", "five")
    log.info("%(a)s %(b)s", {"a": 1})
    log.info("%s", Unreadable())
    log.info(Unreadable())
    assert [line["message"] for line in out()] == [
        "%d apples ('five')",
        "%(a)s %(b)s {'a': 1}",
        "%s (<unprintable Unreadable>)",
        "<unprintable Unreadable>",
    ]


def test_exceptions_that_cannot_be_printed(out):
    """The line has their type."""
    logs.configure_logging()
    log.error("m", exc_info=UnreadableError())
    (line,) = out()
    assert line["error.type"].endswith("UnreadableError")
    assert line["error.message"] == "<unprintable UnreadableError>"


def test_formatters_that_fail_on_exceptions(out, monkeypatch):
    """The line has the exception without its traceback."""
    monkeypatch.setattr(logging.Formatter, "formatException", lambda self, exc_info: 1 / 0)
    logs.configure_logging()
    log.error("m", exc_info=ValueError("x"))
    (line,) = out()
    assert line["error.message"] == "x"
    assert "error.stack_trace" not in line


def test_names_that_are_no_text(out):
    """Keys of `extra` may be anything."""
    logs.configure_logging()
    log.info("m", extra={5: 1, "n" * 1000: 2})
    assert out()[0]["labels"] == {"5": 1, "n" * 255 + "…": 2}


def test_records_that_no_logger_makes(out):
    """The result is a minimal ECS line."""
    logs.configure_logging()
    record = logging.makeLogRecord({"msg": "token=x \ud800", "created": "yesterday", "levelno": 20})
    log.handle(record)
    del record.msg
    del record.levelname
    log.handle(record)
    first, second = out()
    assert list(first)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
    assert "REDACTED" in first["message"]
    assert second["log.level"] == "error"


def test_spans_that_fail(out):
    """A span of another package that raises does not lose the line."""

    class Broken(trace.NonRecordingSpan):
        """A span without a context."""

        def get_span_context(self):
            raise ValueError("no")

    logs.configure_logging()
    with trace.use_span(Broken(trace.INVALID_SPAN_CONTEXT)):
        log.info("m")
        record = logging.makeLogRecord({})
        assert logs.TraceContextFilter().filter(record)
    assert record.trace_id == "-"
    assert out()[0]["message"] == "m"


def test_no_character_reaches_the_terminal(monkeypatch):
    """Control characters, separators and direction marks are escaped; parsing restores them."""
    hostile = "".join(
        map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)])
    )
    line = logs.EcsFormatter().format(logging.makeLogRecord({"msg": f"한{hostile}x"}))
    assert json.loads(line)["message"] == f"한{hostile}x"
    assert "한" in line
    assert not set(hostile) & set(line)


@given(st.text(), st.dictionaries(st.text(max_size=20), st.one_of(st.text(), st.floats(), st.integers())))
def test_any_text_is_one_line(message, fields):
    """One parseable line with the message, for any text and fields."""
    record = logging.makeLogRecord({"msg": message})
    record.__dict__.update({f"x{name}": value for name, value in fields.items()})
    line = logs.EcsFormatter().format(record)
    assert len(line.splitlines()) == 1
    parsed = json.loads(line)
    if message.isalnum():
        assert parsed["message"] == message


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_streams_that_are_not_utf8(monkeypatch, encoding):
    """Characters that a stream cannot encode are escaped."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    logs.configure_logging()
    log.info("한글 🙂 \u202e")
    (line,) = raw.getvalue().splitlines()
    assert json.loads(line)["message"] == "한글 🙂 \u202e"


class Full(io.StringIO):
    """A full disk."""

    def write(self, text: str) -> int:
        raise OSError("no space left on device")


@pytest.mark.parametrize("stream", [Full(), None])
def test_streams_that_take_nothing(monkeypatch, stream):
    """A line that cannot be written is lost; nothing is raised."""
    monkeypatch.setattr(sys, "stdout", stream)
    logs.configure_logging()
    log.info("lost")
