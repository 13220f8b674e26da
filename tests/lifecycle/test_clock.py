"""Steps of the wall clock change no duration, order or delivery."""

from __future__ import annotations

import sys

import pytest

from tests.lifecycle.servers import LIMIT_S, environment
from tests.support import programs


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_step_of_the_wall_clock(seconds, otlp_receiver):
    """All times within a request follow one clock, and queued spans are delivered on time."""
    done = programs.run(
        [sys.executable, "-m", "tests.lifecycle.stepping", str(seconds)],
        env=environment(otlp_receiver.grpc_endpoint, OTEL_BSP_SCHEDULE_DELAY="100"),
        timeout=LIMIT_S,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    spans = otlp_receiver.spans
    assert len(spans) == 11
    for one in spans:
        assert 0 <= one.end_ns - one.start_ns < LIMIT_S * 1e9, one.name
    for root in otlp_receiver.find("GET /"):
        names = {one.name: one for one in spans if one.trace_id == root.trace_id}
        order = [names[name] for name in ("GET /", "before", "around", "inside", "after")]
        starts = [one.start_ns for one in order]
        assert starts == sorted(starts)
        ends = [names[name].end_ns for name in ("before", "inside", "around", "after", "GET /")]
        assert ends == sorted(ends)
        inside = names["inside"]
        assert inside.start_ns <= inside.events[0].time_ns <= inside.end_ns
