"""ECS log lines as text."""

from __future__ import annotations

import json

import pytest

from eco2_tracing._console.lines import moment_of, parse_lines, text_line, tree_line
from eco2_tracing._console.terminal import coloured, plain


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    """Local time is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


WARNING = {
    "@timestamp": "2026-11-22T08:22:15.123Z",
    "log.level": "warning",
    "log.logger": "auth_api",
    "message": "No badges",
    "service": {"name": "auth-api"},
    "labels": {"provider": "kakao"},
    "user.id": "mina",
    "http.response.status_code": 200,
    "trace.id": "0af7651916cd43dd8448eb211c80319c",
}
FAILED = {
    "@timestamp": "2026-11-22T08:22:15.124Z",
    "log.level": "error",
    "message": "Failed",
    "error.type": "app.LedgerError",
    "error.message": "no page",
}
ACCESS = {
    "@timestamp": "2026-11-22T08:22:15.124Z",
    "log.level": "info",
    "log.logger": "uvicorn.access",
    "message": '127.0.0.1:1 - "GET /a HTTP/1.1" 200',
    "http.request.method": "GET",
    "url.path": "/a",
    "http.response.status_code": 200,
    "event.outcome": "success",
    "user.id": "mina",
}


def flat(written):
    """One line, parsed."""
    (line,) = parse_lines([json.dumps(written)])
    return line


def test_only_ecs_lines_are_parsed():
    """Other JSON and other text are left out."""
    assert parse_lines(["not JSON", "[1]", '{"no": "time"}']) == ()


def test_text_line():
    """Time, level, logger, message, fields and labels by name, and the short trace id."""
    assert text_line(flat(WARNING), plain) == (
        "08:22:15.123 WARNING auth_api  No badges"
        "  provider=kakao user.id=mina http.response.status_code=200  0af76519"
    )
    assert "\x1b[33mWARNING\x1b[0m" in text_line(flat(WARNING), coloured)


def test_exceptions_in_text():
    """Type and message, or the traceback in lines below."""
    assert text_line(flat(FAILED), plain) == "08:22:15.124 ERROR     Failed  LedgerError: no page"
    stack = 'Traceback:\n  File "a.py"\x1b[2J\nLedgerError: no page\n'
    assert text_line(flat(FAILED | {"error.stack_trace": stack}), plain).splitlines() == [
        "08:22:15.124 ERROR     Failed",
        "    Traceback:",
        r'      File "a.py"\x1b[2J',
        "    LedgerError: no page",
    ]


def test_access_line():
    """Method, path and status, without the fields that say the same."""
    assert text_line(flat(ACCESS), plain) == "08:22:15.124 INFO    uvicorn.access  GET /a 200  user.id=mina"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("two words", '"two words"'),
        ("", '""'),
        ('say "hi"', r'"say \"hi\""'),
        ("a\nb", r"a\nb"),
        (1.5, "1.5"),
        (None, "null"),
        ([1, "a\u202e"], r'[1,"a\u202e"]'),
    ],
)
def test_values_of_fields(value, written):
    """Quoted where they are not one word; control characters are escaped."""
    assert f"key={written}" in text_line(flat(FAILED | {"key": value}), plain)


def test_tree_line():
    """Without logger and id; shortened to a width."""
    assert tree_line(flat(WARNING), plain, 60) == "08:22:15.123 WARNING No badges  provider=kakao user.id=mi…"
    assert tree_line(flat(FAILED), plain, 33) == "08:22:15.124 ERROR   Failed  Led…"
    assert tree_line(flat(FAILED), plain, 20) == "Failed  LedgerError…"


def test_times_that_are_none():
    """They are written as they are, escaped."""
    line = flat(WARNING | {"@timestamp": "soon\x07"})
    assert text_line(line, plain).startswith(r"soon\x07 WARNING")
    assert moment_of(line) == 0
    assert moment_of(flat(WARNING)) == 1795335735_123_000_000
