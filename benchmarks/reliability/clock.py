"""The wall clock is stepped during requests: what becomes of durations and of the order of spans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

from benchmarks.reliability._processes import SERVERS, serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import OtlpReceiver, ReceivedSpan

STEPS_S = (3600, -3600, 60, -60, 1, -1)
_NAMES = ("first", "second", "third")
_SERVER = "GET /step/{seconds}"
# What a busy machine may put between two readings.
_SLACK_MS = 100.0
_APP = "benchmarks.reliability._stepping:app"
SERVERS["stepping"] = tuple(_APP if word.endswith("_service:app") else word for word in SERVERS["uvicorn"])


def wrong(spans: Sequence[ReceivedSpan], took: dict[str, int]) -> tuple[int, int]:
    """Count the spans of a request whose duration is wrong, and the pairs that are out of order."""
    named = {span.name: span for span in spans}
    server = named[_SERVER]
    inner = [named[name] for name in _NAMES]
    durations = sum(abs(span.duration_ms - took[span.name] / 1e6) > _SLACK_MS for span in inner)
    durations += not 0 <= server.duration_ms - sum(took.values()) / 1e6 <= _SLACK_MS
    order = sum(one.end_ns > other.start_ns for one, other in pairwise(inner))
    order += sum(not server.start_ns <= span.start_ns <= span.end_ns <= server.end_ns for span in inner)
    return durations, order


def steps(variant: Variant, scale: Scale) -> Figure:
    """Step the clock in one request after the other."""
    durations = order = 0
    tried = STEPS_S if scale.full else STEPS_S[:2]
    with OtlpReceiver() as receiver, serving(variant, receiver.grpc_endpoint, server="stepping") as served:
        for seconds in tried:
            receiver.clear()
            took = json.loads(served.get(f"/step/{seconds}")[1])
            served.get("/restore")
            served.flush()
            receiver.wait_for(lambda spans: {*_NAMES, _SERVER} <= {span.name for span in spans})
            found = wrong(receiver.spans, took)
            durations += found[0]
            order += found[1]
    spans, pairs = 4 * len(tried), 5 * len(tried)
    return Figure(
        f"{durations} of {spans} durations wrong, {order} of {pairs} out of order",
        not durations and not order,
    )


ROWS = [
    Row(
        "clock",
        "steps of the wall clock do not change durations or order inside a process",
        "unaffected",
        steps,
    ),
]
