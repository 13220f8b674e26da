"""The buffer of log lines."""

from __future__ import annotations

import json

import pytest

from eco2_tracing._console.buffer import LogBuffer


def line(trace_id, message="m", span_id=None):
    """A line of ECS JSON."""
    span = {} if span_id is None else {"span.id": f"{span_id:016x}"}
    return json.dumps({"message": message, "trace.id": f"{trace_id:032x}", **span}, separators=(",", ":"))


@pytest.fixture
def buffer():
    """A buffer of three traces and a few lines."""
    return LogBuffer(traces=3, characters=1000)


def test_lines_of_a_trace_are_taken_once(buffer):
    """In their order; lines without an id are not kept."""
    for written in (line(1, "a"), line(2), '{"message":"no id"}', line(1, "b")):
        buffer.add(written)
    assert buffer.take(1, ()) == [line(1, "a"), line(1, "b")]
    assert buffer.take(1, ()) == []
    assert buffer.take(2, ()) == [line(2)]


def test_lines_of_other_spans_stay(buffer):
    """A service that calls itself has two local traces with one trace id."""
    for written in (line(1, "outer", 7), line(1, "inner", 8), line(1, "neither")):
        buffer.add(written)
    assert buffer.take(1, [8, 9]) == [line(1, "inner", 8), line(1, "neither")]
    assert buffer.take(1, [7]) == [line(1, "outer", 7)]
    assert buffer.take(1, [7, 8]) == []


def test_values_do_not_look_like_the_id(buffer):
    """A message with the field's name is no id."""
    buffer.add(json.dumps({"message": line(7)}, separators=(",", ":")))
    assert buffer.take(7, ()) == []


def test_limits():
    """The oldest lines and traces go first."""
    few = LogBuffer(traces=3, characters=100_000)
    for trace_id in range(1, 6):
        few.add(line(trace_id))
    assert [len(few.take(trace_id, ())) for trace_id in range(1, 6)] == [0, 0, 1, 1, 1]
    for number in range(150):
        few.add(line(1, str(number)))
    assert few.take(1, ()) == [line(1, str(number)) for number in range(50, 150)]
    short = LogBuffer(traces=3, characters=1000)
    short.add(line(1, "x" * 700))
    short.add(line(2, "x" * 700))
    assert short.take(1, ()) == []
    assert len(short.take(2, ())) == 1
    short.add(line(3, "x" * 2000))
    assert short.take(3, ()) == []


def test_reset(buffer):
    """A forked child begins without lines."""
    buffer.add(line(1))
    buffer.reset()
    assert buffer.take(1, ()) == []
