"""No value can inject a field or a line: one parseable line for each record, within bounds."""

from __future__ import annotations

import json
import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from eco2_tracing import TracingSettings, bind_log_fields, configure_tracing, instrument_app, logs
from eco2_tracing.logs._shared import set_redactor, set_service
from eco2_tracing.testing import SPAN_ID, TRACE_ID, b3_headers
from tests.support.hostile import EndlessDict, NamelessError, Unhashable, UnreadableNumber, UnreadableText
from tests.support.requests import begin_request, end_request

FORGED = '{"@timestamp":"2026-01-01T00:00:00.000Z","log.level":"info","message":"forged","trace.id":"0"}'
INJECTED = [
    f"a\n{FORGED}", f"a\r{FORGED}", f"a\r\n{FORGED}", f"a\u2028{FORGED}", f"a\u2029{FORGED}", f"a\x85{FORGED}",
    f"a\x0b{FORGED}", f"a\x0c{FORGED}", f"a\x1c{FORGED}", f"a\x1d{FORGED}", f"a\x1e{FORGED}", f'a"}}\n{FORGED}',
    f'","trace.id":"0","x":"{FORGED}', "\\", '\\"', "\\u000a", "a\x00b", "\x1b[2J\x1b[31mred", "\x9b2J", "\x08\x08\x7f",
    "user\u202etxt.exe", "\u2066a\u2069", "\u202a\u202b\u202c\u202d",
    "\u200b\u200e\u200f\u061c\ufeff", "\ud800\udc00"[:1],
    "%s %(x)s {x}", "\u0000" * 50, "\U000e0041\U000e0001", "\u180e\u00ad\u034f",
    "\u206a\u206f\U0001bca0\U0001d173",
]  # fmt: skip
# Characters that a terminal, a viewer or a line reader would interpret, or not show.
CONTROLS = {
    *map(
        chr,
        [
            *range(0x20), *range(0x7F, 0xA0), 0xAD, 0x61C, 0x180E, *range(0x2028, 0x202F), *range(0x2066, 0x2070),
            *range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE0080),
        ],
    )
}  # fmt: skip


class Odd(Exception):
    """An exception with a given text."""


def write_everywhere(text):
    """Use a text in each place of a record; return the number of lines."""
    log = logging.getLogger(f"injected.{text}")
    bind_log_fields(bound=text, **{"bound.dotted": text})
    log.info(text)
    log.info("a %s", text)
    log.info("a %(a)s", {"a": text})
    log.info("%d " + text)  # noqa: G003 - a template of the application's
    log.info("m", extra={"field": text, text: "as a key", "labels": {text: text}, "deep.er": {text: [text]}})
    log.info({"message": text, text: text})
    log.info("m", extra={"trace.id": text, "message.x": text, "@timestamp": text, "log.level": text})
    try:
        raise Odd(text)
    except Odd as error:
        error.add_note(text)
        log.exception("m")
    log.handle(log.makeRecord(text, logging.INFO, text, 1, text, (), None, func=text, sinfo=text))
    renamed = log.makeRecord("n", logging.INFO, "f", 1, "m", (), None)
    renamed.levelname = renamed.threadName = renamed.processName = text
    log.handle(renamed)
    return 10


@pytest.mark.parametrize("text", INJECTED, ids=ascii)
def test_one_line_a_record(out, text):
    """In messages, arguments, names, keys, values, levels, threads, exceptions: escaped, and not lost."""
    logs.configure_logging()
    token = begin_request()
    count = write_everywhere(text)
    end_request(token)
    lines = out()
    assert len(lines) == count
    assert [line["message"] for line in lines].count("forged") == 0
    assert all(set(line) >= {"@timestamp", "log.level", "message", "ecs.version"} for line in lines)
    assert not any("trace.id" in line for line in lines)
    kept = text.rstrip("\r\n") if text.isprintable() or text.isascii() else text
    assert lines[0]["message"] == kept.encode("utf-8", "backslashreplace").decode()


@given(
    st.text(
        st.sampled_from([*map(chr, range(128)), *sorted(CONTROLS), '"', "\\", "한", "🙂", "\ud800"]),
        max_size=30,
    )
)
def test_nothing_reaches_a_terminal(text):
    """No control character, separator or direction mark is written raw, in any field."""
    record = logging.LogRecord(text, logging.INFO, text, 1, text, (), None)
    record.__dict__.update(
        {"levelname": text or "INFO", "threadName": text, f"x{text}": text, "user_id": [text]}
    )
    line = logs.EcsFormatter().format(record)
    assert not CONTROLS & set(line)
    assert json.loads(line)["@timestamp"]


def test_every_text_is_bounded(out):
    """With values of 10 MB each, a line has a few hundred kilobytes at most."""
    logs.configure_logging()
    huge = "x" * 10_000_000
    token = begin_request()
    write_everywhere(huge)
    logging.getLogger("list").info([huge] * 3, extra={"field": [huge] * 3})
    logging.getLogger("many").info("m", extra={f"field {number}": huge[:10_000] for number in range(2_000)})
    end_request(token)
    for line in out():
        assert len(line["message"]) <= 32 * 1024
        assert len(line["log.logger"]) <= 1024
        assert len(line["log.level"]) <= 64
        assert len(line.get("process.thread.name", "")) <= 1024
        assert len(line.get("error.message", "")) <= 32 * 1024
        assert len(line.get("error.stack_trace", "")) <= 33 * 1024
        assert len(json.dumps(line)) <= 5_000_000


def test_the_lines_of_servers_and_the_number_of_labels_are_bounded(out):
    """A method, a version and a service's name of 10 MB, a process that is no number, and too many labels."""
    logs.configure_logging()
    huge = "x" * 10_000_000
    set_service(huge)
    access = logging.getLogger("uvicorn.access")
    access.info('%s - "%s %s HTTP/%s" %d', huge, huge, huge, huge, 200)
    renamed = access.makeRecord("n", logging.INFO, "f", 1, "m", (), None)
    renamed.process = huge
    access.handle(renamed)
    access.info("m", extra={"labels": {f"label {number}": "x" for number in range(2_000)}})
    first, second, third = out()
    assert len(first["http.request.method"]) == len(first["http.version"]) == 64
    assert len(first["service.name"]) == 1024
    assert "process.pid" not in second
    assert 400 < len(third["labels"]) <= 500


def generator():
    """Yield items that must not be consumed."""
    yield from ("first", "second")


@pytest.mark.parametrize(
    "make",
    [
        lambda: EndlessDict(password="x", a=[1]),
        lambda: UnreadableText("text"),
        lambda: UnreadableNumber(7),
        Unhashable,
        generator,
        lambda: 10**5_000,
        lambda: memoryview(b"x"),
    ],
    ids=["endless", "text", "number", "unhashable", "generator", "digits", "view"],
)
def test_values_of_one_s_own(out, make):
    """The line is written, and the value is not consumed."""
    logs.configure_logging()
    value = make()
    token = begin_request()
    bind_log_fields(bound=value, **{"bound.dotted": [value]})
    log = logging.getLogger("own")
    log.info("m %s", value)
    log.info(value)
    log.info("m", extra={"field": value, "labels": {"x": value}, "password": value})
    log.info("m", exc_info=Odd(value))
    log.info("m", exc_info=NamelessError("x"))
    end_request(token)
    assert len(out()) == 5
    if make is generator:
        assert list(value) == ["first", "second"]


def test_a_field_without_a_value_is_left_out(out):
    """ECS has no null: a bound ``None`` removes the field, one in `extra` is left out."""
    logs.configure_logging()
    token = begin_request()
    bind_log_fields(user_id="7", plan="free")
    log = logging.getLogger("nulls")
    log.info("bound")
    bind_log_fields(user_id=None)
    log.info("taken off", extra={"plan": None, "shop": None})
    end_request(token)
    first, second = out()
    assert (first["user.id"], first["labels"]) == ("7", {"plan": "free"})
    assert "user.id" not in second
    assert "labels" not in second


def test_lines_carry_the_callers_ids_where_tracing_is_disabled(out):
    """The log lines of a service without spans have the trace id of the mesh."""
    logs.configure_logging()
    configure_tracing(settings=TracingSettings(sdk_disabled=True))
    app = FastAPI()

    @app.get("/work")
    def work():
        logging.getLogger("app").info("at work")

    instrument_app(app)
    with TestClient(app) as client:
        client.get("/work", headers=b3_headers(sampled=False))
    (line,) = [line for line in out() if line["message"] == "at work"]
    assert (line["trace.id"], line["span.id"]) == (TRACE_ID, SPAN_ID)


def test_a_service_without_a_name_has_one_everywhere(out, clean_tracing, monkeypatch):
    """The line at the start has the same name as the spans."""
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    logs.configure_logging()
    configure_tracing(settings=TracingSettings(traces_exporter=("none",)))
    from opentelemetry import trace

    name = trace.get_tracer_provider().resource.attributes["service.name"]
    assert name.startswith("unknown_service:")
    assert any(line["message"].startswith(f"tracing {name} to ") for line in out())


def test_names_of_loggers_are_masked_anew_with_new_keys(out):
    """A formatter's cached parts are dropped with the redactor."""
    from eco2_tracing._redaction import Redactor

    logs.configure_logging()
    log = logging.getLogger("client patient=7")
    log.info("before")
    set_redactor(Redactor(["patient"]))
    log.info("after")
    assert [line["log.logger"] for line in out()] == ["client patient=7", "client patient=REDACTED"]
