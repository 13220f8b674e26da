"""The fast path for the fields of `extra=` writes the same as the general one."""

from __future__ import annotations

import gc
import json
import logging
import weakref

import pytest
from opentelemetry import trace

from eco2_tracing.logs import EcsFormatter

VALUES = [
    {"user_id": "7", "plan": "free"},
    {"user_id": "7", "user.id": "8"},
    {"order.id": 1, "order": 2, "order.id.part": 3},
    {"order": 1, "order.id": 2},
    {"a": None, "a.b": 1, "a.b.c": 2},
    {"labels": {"a": 1}, "labels.b": 2, "c": 3},
    {"password": "hunter2x", "note": "password=hunter2x", "code": 7},
    {
        "url.full": "https://u:hunter2x@h/",
        "url.query": "token=hunter2x",
        "db.query.text": "SELECT 'hunter2x'",
    },
    {"pin": "4111111111111111", "flag": True, "ratio": 0.5, "big": 2**70, "nan": float("nan")},
    {"text": "\ud800", "korean": "\ud55c\uae00", "mark": "\u202e", "long": "x" * 9000},
    {"a*b": 1, "a\\b": 2, "x.": 3, "trace.id": "forged", "message.x": 1, "@timestamp": "x"},
    {"nested": {"token": "hunter2x"}, "items": [1, "token=hunter2x"]},
    {"otelTraceID": "a" * 32, "otelSpanID": "b" * 16, "n": 1},
    {"trace_id": "-", "span_id": "-", "n": 1},
    {"message_": 1, "asctime": "now", "color_message": "x", "n": 1},
    {f"field{number}": number for number in range(200)},
    {"k" * 300: 1, "token=hunter2x": 2},
]


def record_with(fields: dict[str, object]) -> logging.LogRecord:
    """Make a record of a log call with `extra=`."""
    record = logging.getLogRecordFactory()("app", logging.INFO, "p", 1, "message", (), None)
    record.__dict__.update(fields)
    return record


@pytest.mark.parametrize("fields", VALUES, ids=lambda fields: ",".join(fields)[:40])
def test_the_same_as_with_a_static_field(fields):
    """A formatter with static fields builds each line from all of its parts."""
    plain, other = EcsFormatter(), EcsFormatter(static_fields={"event.kind": "event"})
    for _ in range(2):  # the second time the names are known
        record = record_with(fields)
        line = json.loads(plain.format(record))
        expected = json.loads(other.format(record))
        assert expected.pop("event.kind") == "event"
        assert line == expected
        assert "hunter2x" not in json.dumps(line)


def test_the_same_names_with_other_values():
    """Cached names do not depend on values."""
    formatter = EcsFormatter()
    for value in ("a", None, 1, "token=hunter2x", {"a": 1}, "\ud800", "b"):
        line = json.loads(formatter.format(record_with({"note": value, "note.part": 1})))
        assert line["note.part"] == 1
        assert ("note" in line.get("labels", {})) == (value is not None)
        assert "hunter2x" not in str(line)


def test_names_made_of_data():
    """The caches are bounded."""
    formatter = EcsFormatter()
    for number in range(2000):
        line = json.loads(formatter.format(record_with({f"user{number}": number})))
        assert line["labels"] == {f"user{number}": number}


def test_a_logged_span_is_not_kept_alive():
    """The cache does not keep a context alive."""
    EcsFormatter()

    class Span(trace.NonRecordingSpan):
        """A dictionary that can be referenced weakly."""

    span = Span(trace.SpanContext(1 << 100, 1 << 50, is_remote=False))
    reference = weakref.ref(span)
    with trace.use_span(span):
        logging.getLogger("app").error("x")
    del span
    gc.collect()
    assert reference() is None
