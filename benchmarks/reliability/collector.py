"""The collector fails in every way that there is: what the requests notice of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from benchmarks._http import resident
from benchmarks.reliability._collector import Collector, black_hole, refused
from benchmarks.reliability._load import Client, Pair
from benchmarks.reliability._processes import Served, serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant

GOAL = "0 failed; < 2 ms; flat, below 16 MiB"
P99_MS = 2.0
MEMORY_MIB = 16.0
FLAT_MIB = 2.0
_WAIT_S = 3.0
# Spans leave the queue soon, so that many exports fail while a row runs.
_HASTY = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
# Few requests fill a small queue: what it holds grows until then, and is no leak.
_SMALL = {"OTEL_BSP_MAX_QUEUE_SIZE": "128", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64"}
_HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
GRPC_CODES = (
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
HTTP_STATUSES = (301, 400, 401, 403, 404, 405, 408, 413, 415, 418, 429, 500, 501, 502, 503, 504)


@dataclass
class Trial:
    """A traced service beside an untraced one, while the collector fails.

    Attributes:
        pair: Their clients.
        process: The traced service.
        sizes: Its resident memory in bytes, as the run went on.
    """

    pair: Pair
    process: Served
    sizes: list[int]

    def ask(self, count: int) -> None:
        """Send requests, and look at the memory now and then."""
        for _ in range(max(1, count // 100)):
            self.pair.ask(min(count, 100))
            self.sizes.append(resident(self.process.process.pid))

    def figure(self, told: str = "") -> Figure:
        """Say what the requests noticed."""
        failed = self.pair.traced.failed
        added = self.pair.added_p99_ms()
        grown = (max(self.sizes) - self.sizes[0]) / 2**20
        late = (self.sizes[-1] - self.sizes[len(self.sizes) * 7 // 10]) / 2**20
        text = f"{failed} of {self.pair.asked} failed; p99 {added:+.1f} ms; {grown:+.1f} MiB"
        if late >= FLAT_MIB:
            text += f", {late:+.1f} in the last third"
        good = not failed and added < P99_MS and grown < MEMORY_MIB and late < FLAT_MIB
        return Figure(text + told, good)


@contextmanager
def trial(
    variant: Variant, scale: Scale, endpoint: str, more: Mapping[str, str] | None = None
) -> Iterator[Trial]:
    """Run both services; the traced one is killed at the end, for its end is another row's."""
    with ExitStack() as stack:
        bare = stack.enter_context(serving("bare", endpoint))
        environ = {**({} if scale.full else _SMALL), **(more or {})}
        traced = stack.enter_context(serving(variant, endpoint, environ=environ))
        pair = Pair(*(Client(one.port, one.process.pid) for one in (bare, traced)))
        pair.warm_up(scale.of(500, 100))
        made = Trial(pair, traced, [resident(traced.process.pid)])
        try:
            yield made
        finally:
            pair.bare.close()
            pair.traced.close()
            os.killpg(traced.process.pid, signal.SIGKILL)
            traced.process.wait()


def requests(scale: Scale) -> int:
    """Tell how many requests a row takes: more than the queue holds."""
    return scale.of(3200, 600)


def absent(place: Callable[[], object], variant: Variant, scale: Scale) -> Figure:
    """Nobody is there from the beginning."""
    with place() as endpoint, trial(variant, scale, endpoint) as one:
        one.ask(requests(scale))
        return one.figure()


def slow(variant: Variant, scale: Scale) -> Figure:
    """The collector takes seconds for each answer."""
    with Collector() as collector:
        collector.answer_after(3.0)
        with trial(variant, scale, collector.endpoint) as one:
            one.ask(requests(scale))
            return one.figure()


def partial_success(variant: Variant, scale: Scale) -> Figure:
    """The collector rejects one span of each request."""
    with Collector() as collector:
        collector.reject_partly(1)
        with trial(variant, scale, collector.endpoint, _HASTY) as one:
            one.ask(requests(scale))
            seen = collector.answers().get("ok", 0)
            return one.figure(f"; {seen} answers")


def killed_and_back(variant: Variant, scale: Scale) -> Figure:
    """The collector dies again and again, and comes back each time."""
    times = scale.of(4, 1)
    with Collector() as collector, trial(variant, scale, collector.endpoint, _HASTY) as one:
        for _ in range(times):
            collector.kill()
            one.ask(requests(scale) // times // 2)
            collector.start()
            one.ask(requests(scale) // times // 2)
        return one.figure(f"; {times} times")


def each_answer(
    answers: Mapping[str, tuple[str, int]], protocol: Mapping[str, str], variant: Variant, scale: Scale
) -> Figure:
    """The collector gives one wrong answer after the other.

    Args:
        answers: By its name: status code for gRPC, and for HTTP.
        protocol: The variables that choose it.
        variant: What is tried.
        scale: How much is done.
    """
    with Collector() as collector:
        endpoint = collector.http_endpoint if protocol else collector.endpoint
        with trial(variant, scale, endpoint, _HASTY | dict(protocol)) as one:
            for name, (code, status) in answers.items():
                collector.fail_with(code, status)
                end = time.monotonic() + _WAIT_S
                one.ask(max(100, requests(scale) // len(answers)))
                while name not in collector.answers() and time.monotonic() < end:
                    one.ask(20)
            seen = len(answers.keys() & collector.answers().keys())
            return one.figure(f"; {seen} of {len(answers)} met")


_OF_GRPC = {code: (code, 503) for code in GRPC_CODES}
_OF_HTTP = {str(status): ("UNAVAILABLE", status) for status in HTTP_STATUSES}

ROWS = [
    Row(
        "refused",
        "a collector that refuses connections does not fail or slow requests",
        GOAL,
        partial(absent, refused),
    ),
    Row(
        "black-hole",
        "a collector that accepts connections and never answers does not fail or slow requests",
        GOAL,
        partial(absent, black_hole),
    ),
    Row("slow", "a collector that answers after 3 s does not fail or slow requests", GOAL, slow),
    Row(
        "grpc-errors",
        "a collector that answers with any gRPC error does not fail or slow requests",
        GOAL,
        partial(each_answer, _OF_GRPC, {}),
    ),
    Row(
        "http-errors",
        "a collector that answers with any HTTP error does not fail or slow requests",
        GOAL,
        partial(each_answer, _OF_HTTP, _HTTP),
    ),
    Row(
        "partial-success",
        "a collector that rejects a span of each request does not fail or slow requests",
        GOAL,
        partial_success,
    ),
    Row(
        "killed",
        "a collector that is killed and restarted does not fail or slow requests",
        GOAL,
        killed_and_back,
    ),
]
