"""Log lines for people."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import logging.config
import re
import sys

import pytest
import structlog
from opentelemetry import trace

from eco2_tracing import bind_log_fields, configure_logging
from eco2_tracing.logs import EcsFormatter, log_formatter, uvicorn_log_config
from eco2_tracing.logs._text import TextFormatter
from tests.logs.conftest import STDOUT
from tests.logs.ids import SPAN_ID, TRACE_ID

TIME = re.compile(r"^\d\d:\d\d:\d\d\.\d\d\d ")


@pytest.fixture
def text(request):
    """Read what was written to stdout since."""
    stdout = request.node.stash[STDOUT] = io.StringIO()

    def read():
        written = stdout.getvalue()
        stdout.seek(0)
        stdout.truncate()
        return [TIME.sub("", line) for line in written.splitlines()]

    return read


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        return True


def in_trace():
    """Make a span current."""
    return trace.use_span(trace.NonRecordingSpan(trace.SpanContext(TRACE_ID, SPAN_ID, is_remote=False)))


def test_lines(text):
    """Level, logger, message, fields and short trace id; the same masking as in JSON."""
    configure_logging(format="text")

    def log():
        bind_log_fields(user_id="mina")
        logging.getLogger("shop").info("password=planted", extra={"plan": "two words", "token": "planted"})

    with in_trace():
        contextvars.copy_context().run(log)
    (line,) = text()
    assert (
        line
        == (
            f'INFO    shop  password=REDACTED  user.id=mina plan="two words" token=REDACTED  {TRACE_ID:032x}'[
                :-24
            ]
        )
    )


def test_traceback_in_lines_below(text):
    """Each is indented, so that no text in it looks like a line of the log."""
    configure_logging(format="text")
    try:
        raise ValueError("api_key=planted\n12:00:00.000 INFO forged\x1b[2J")
    except ValueError:
        logging.getLogger("shop").exception("failed\nforged")
    first, *below = text()
    assert first == r"ERROR   shop  failed\nforged"
    assert below[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in below)
    assert below[-2] == "    ValueError: api_key=REDACTED"
    assert below[-1] == r"    12:00:00.000 INFO forged\x1b[2J"


@pytest.mark.parametrize(
    ("argument", "variable", "is_text"),
    [
        (None, "", False),
        ("json", "", False),
        ("text", "", True),
        (" TEXT ", "", True),
        ("auto", "", False),
        (None, "text", True),
        ("json", "text", True),
        ("text", "json", False),
    ],
)
def test_choice(argument, variable, is_text, text, monkeypatch):
    """The variable takes precedence over the argument, as it does for the service's name."""
    monkeypatch.setenv("ECO2_TRACING_LOG_FORMAT", variable)
    configure_logging(format=argument)
    logging.getLogger("shop").info("hello")
    (line,) = text()
    assert line.startswith("INFO ") is is_text
    assert isinstance(log_formatter(argument), TextFormatter) is is_text
    assert isinstance(log_formatter(argument), EcsFormatter) is not is_text


def test_lines_are_passed_on_only_to_a_waterfall(text):
    """Without one, the handler has the plain formatter."""
    configure_logging()
    assert type(logging.getLogger().handlers[-1].formatter) is EcsFormatter
    assert text() == []


def test_auto_is_text_on_a_terminal(monkeypatch):
    """With colours, unless NO_COLOR is set."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    configure_logging(format="auto")
    logging.getLogger("shop").warning("hello")
    assert "\x1b[33mWARNING\x1b[0m" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logging(format="auto")
    logging.getLogger("shop").warning("plain")
    assert "WARNING shop  plain\n" in stream.getvalue()


@pytest.mark.parametrize("given", ["pretty", 7, ""])
def test_wrong_argument(given, text):
    """One warning with the value; JSON is used."""
    configure_logging(format=given)
    configure_logging(format=given)
    (line,) = text()
    written = json.loads(line)
    assert written["log.level"] == "warning"
    assert f"configure_logging(format={given!r}): no such format" in written["message"]


def test_wrong_variable(text, monkeypatch):
    """One warning, also in a process without `configure_tracing`."""
    monkeypatch.setenv("ECO2_TRACING_LOG_FORMAT", "txt")
    configure_logging()
    log_formatter("text")
    (line,) = text()
    assert "ECO2_TRACING_LOG_FORMAT='txt': expected one of json, text, auto" in json.loads(line)["message"]


def test_strict_mode_is_for_configure_tracing(text, monkeypatch):
    """The argument decides."""
    monkeypatch.setenv("ECO2_TRACING_STRICT", "true")
    monkeypatch.setenv("ECO2_TRACING_LOG_FORMAT", "txt")
    configure_logging(format="text")
    logging.getLogger("shop").info("hello")
    assert text() == ["INFO    shop  hello"]
    assert isinstance(log_formatter("text"), TextFormatter)


@pytest.mark.parametrize("colours", [None, True, False])
def test_configuration_of_uvicorn(colours, text, monkeypatch):
    """It names the format, and takes uvicorn's choice of colours."""
    written = json.loads(json.dumps(uvicorn_log_config(format="text")))
    if colours is not None:
        for each in written["formatters"].values():
            each["use_colors"] = colours
    logging.config.dictConfig(written)
    logging.getLogger("uvicorn.error").warning("hello")
    (line,) = text()
    assert ("\x1b[" in line) is bool(colours)
    assert "uvicorn.error" in line
    logging.config.dictConfig(uvicorn_log_config())
    logging.getLogger("uvicorn.error").warning("hello")
    assert json.loads(text()[0])["message"] == "hello"


def test_streams_of_other_encodings(request):
    """Characters that the encoding lacks are escaped, in text as in JSON."""
    data = io.BytesIO()
    configure_logging(format="text")
    logging.getLogger().handlers[-1].stream = io.TextIOWrapper(data, encoding="ascii", write_through=True)
    logging.getLogger("shop").info("캐릭터")
    assert rb"\uce90\ub9ad\ud130" in data.getvalue()


def test_structlog(text):
    """Its events have their fields."""
    configure_logging(format="text")
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    structlog.get_logger("shop").info("login", plan="free")
    structlog.reset_defaults()
    assert text() == ["INFO    shop  login  plan=free"]


def test_lines_of_other_characters_that_json_escapes(text):
    """What JSON escapes and a terminal could act on is escaped in text, too."""
    configure_logging(format="text")
    logging.getLogger("shop").info("a\u202eb\u2028c\x9b\ud800")
    assert text() == [r"INFO    shop  a\u202eb\u2028c\x9b\ud800"]
