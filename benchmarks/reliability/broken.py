"""Requests that their sender breaks, on a service that keeps errors and chooses nothing at the head."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks._broken import BROKEN, Headers
from benchmarks.reliability._processes import WORK, serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant
from opentelemetry.trace import SpanKind

from eco2_tracing.testing import OtlpReceiver

SENDERS = 8
ENVIRON = {
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0",
    "ECO2_TRACING_TRUST_INBOUND": "false",
}
# What other variants have no spans for is left out: the same is sent to both.
WAYS = [send for name, send in BROKEN.items() if not name.endswith("below a span")]
UNCHOSEN: Headers = {"traceparent": "00-463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-00"}


def drive(port: int, seconds: float) -> int:
    """Break requests for so long, in every way in turn; give how many."""
    ways, sent = itertools.cycle(WAYS), itertools.count()
    end = time.monotonic() + seconds

    def work(_: int) -> None:
        while time.monotonic() < end:
            next(ways)(port, UNCHOSEN)
            next(sent)

    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(work, range(SENDERS)))
    return next(sent)


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count what is exported."""
    seconds = scale.of(20, 2)
    with (
        OtlpReceiver() as receiver,
        serving(variant, receiver.grpc_endpoint, routes="_routes_broken", environ=ENVIRON) as served,
    ):
        count = drive(served.port, seconds)
        served.get(WORK.format(item=1))
        served.flush()
        exported = len(receiver.find(kind=SpanKind.SERVER))
    text = f"{exported} of {count} requests exported, in {seconds} s"
    return Figure(text, count > 0 and exported == 0)


ROWS = (
    Row(
        "broken",
        "untrusted callers force no exports by breaking their own requests",
        "0",
        measure,
    ),
)
