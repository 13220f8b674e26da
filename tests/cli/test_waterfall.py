"""Waterfalls of traces, and log lines."""

from __future__ import annotations

import json

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from eco2_tracing._cli.lines import log_lines, parse_lines
from eco2_tracing._cli.waterfall import bar, colours, waterfall
from eco2_tracing.testing import ReceivedSpan, ReceivedTrace


@pytest.mark.parametrize(
    ("start", "end", "drawn"),
    [
        (0, 1, "━━━━"),
        (0, 0.5, "━━  "),
        (0.125, 0.5, "╺━  "),
        (0.5, 0.875, "  ━╸"),
        (0.5, 0.5, "  ╸ "),
        (1, 1, "   ╺"),
    ],
)
def test_bars_to_half_a_cell(start, end, drawn):
    """The shortest bar is visible."""
    assert bar(start, end, 4) == drawn


def span(name, service, span_id, parent, start, end, *, error=False, attributes=()):
    """A span with times in milliseconds."""
    return ReceivedSpan(
        name=name,
        kind=SpanKind.SERVER,
        trace_id="a" * 32,
        span_id=span_id,
        parent_span_id=parent,
        attributes=dict(attributes),
        resource={"service.name": service},
        status=StatusCode.ERROR if error else StatusCode.UNSET,
        start_ns=start * 10**6,
        end_ns=end * 10**6,
    )


def test_waterfall():
    """Tree lines, services where they change, durations, errors."""
    failed = {"error.type": "500", "http.response.status_code": 500}
    spans = (
        span("GET /a", "auth-api", "1", None, 0, 2000, attributes={"http.status_code": 200}),
        span("GET", "auth-api", "2", "1", 10, 20, attributes={"url.full": "http://character-api/b?q=1"}),
        span(
            "GET /b", "character-api", "3", "2", 12, 18, error=True, attributes={"error.type": "app.Broken"}
        ),
        span("work", "auth-api", "4", "1", 30, 40, attributes={"app.cache": "miss"}),
        span("GET /c", "other", "5", "1", 40, 50, error=True, attributes=failed),
    )
    trace = ReceivedTrace("a" * 32, spans)
    drawn = waterfall(trace, colours(("auth-api", "character-api")), 100)
    lines = [
        " ".join(line.replace("━", "").replace("╸", "").replace("╺", "").split())
        for line in str(drawn).splitlines()
    ]
    assert lines == [
        "auth-api GET /a 2,000.0 ms 200",
        "├╴GET /b 10.0 ms",
        "│ └╴character-api GET /b 6.0 ms Broken",
        "├╴auth-api work 10.0 ms cache=miss",
        "└╴other GET /c 10.0 ms 500",
    ]
    assert max(line.cell_len for line in drawn.split()) <= 100


def test_long_name_is_truncated():
    """The columns do not move, and a narrow terminal still has bars."""
    trace = ReceivedTrace("a" * 32, (span("x" * 200, "a", "1", None, 0, 0),))
    drawn = str(waterfall(trace, {}, 10))
    assert "x…" in drawn
    assert "━" in drawn or "╸" in drawn


def test_log_lines():
    """Time, level, service, message, then fields and labels by name."""
    written = [
        {
            "@timestamp": "2026-11-22T08:22:15.123Z",
            "log.level": "WARNING",
            "message": "No badges",
            "service": {"name": "auth-api"},
            "labels": {"provider": "kakao"},
            "user.id": "mina",
            "http.response.status_code": 200,
        },
        {
            "@timestamp": "2026-11-22T08:22:15.124Z",
            "log.level": "error",
            "message": "Failed",
            "service.name": "b",
            "error.type": "app.LedgerError",
            "error.message": "no page",
        },
        {"@timestamp": "2026-11-22T08:22:15.125Z", "log.level": "notice", "message": "m"},
        {"@timestamp": "2026-11-22T08:22:15.126Z", "message": "HTTP Request: …", "log": {"logger": "httpx"}},
    ]
    lines = parse_lines(["not JSON", "[1]", '{"no": "time"}', *map(json.dumps, written)])
    assert len(lines) == 4
    assert str(log_lines(lines, {"auth-api": "red"}, 120)).splitlines() == [
        "08:22:15.123 WARN  auth-api  No badges  provider=kakao user.id=mina",
        "08:22:15.124 ERROR b         Failed LedgerError: no page",
        "08:22:15.125 NOTIC           m",
    ]
    assert str(log_lines(lines[:1], {}, 20)).endswith("…")
