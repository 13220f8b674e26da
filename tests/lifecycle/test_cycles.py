"""Twenty configurations leave no more resources behind than one."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from eco2_tracing import TracingSettings, configure_tracing, shutdown_tracing, span
from eco2_tracing._export import SpanBatcher
from eco2_tracing._lifecycle.tracing import Tracing
from eco2_tracing.sampling._tail.sampler import TailSampler

CYCLES = 20
OPEN = Path("/proc/self/fd")
GROWTH_LIMIT = 50_000
"""Bytes: one configuration holds more than that."""
OURS = [
    tracemalloc.Filter(True, "*/eco2_tracing/*"),
    tracemalloc.Filter(True, "*/opentelemetry/*"),
    # The API keeps a proxy of each meter as long as no meter provider is set, and contrib's instrumentation of
    # every library that some test has imported asks for one each time.
    tracemalloc.Filter(False, "*/opentelemetry/metrics/*"),
]


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(list(OPEN.iterdir()))


def held() -> int:
    """How many bytes hold what this library and the SDK allocated."""
    traces = tracemalloc.take_snapshot().filter_traces(OURS)
    return sum(one.size for one in traces.statistics("filename"))


@pytest.mark.skipif(not OPEN.is_dir(), reason="counts descriptors by /proc")
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("there", [True, False], ids=["collector", "none"])
def test_nothing_piles_up(protocol, there, otlp_receiver):
    """Threads, descriptors and memory after many cycles are those after the first."""
    endpoint = otlp_receiver.grpc_endpoint if protocol == "grpc" else otlp_receiver.http_endpoint
    settings = TracingSettings(
        exporter_otlp_endpoint=endpoint if there else "http://127.0.0.1:9", exporter_otlp_protocol=protocol
    )

    def cycle() -> None:
        configure_tracing("cycle", settings=settings)
        for _ in range(50):
            with span("work"):
                pass
        assert shutdown_tracing(20.0 if there else 0.05) is there

    def alive() -> Counter[type]:
        # OuterInstrumentation what other tests keep: as many of each. Asked for their class, some of that raise.
        kinds = map(type, gc.get_objects())
        return Counter(kind for kind in kinds if issubclass(kind, Tracing | SpanBatcher | TailSampler))

    def left() -> tuple[int, int]:
        gc.collect()
        threads = [one for one in threading.enumerate() if one.name.startswith("eco2")]
        return len(threads), descriptors()

    cycle()
    tracemalloc.start()
    try:
        cycle()
        first, known, memory = left(), alive(), held()
        for _ in range(CYCLES):
            cycle()
            assert bool(otlp_receiver.spans) is there
            otlp_receiver.clear()
        assert left()[0] == first[0] == 0
        assert left()[1] <= first[1] + 4  # the receiver's own, which closes when it gets round to it
        assert held() - memory < GROWTH_LIMIT
        assert not alive() - known
    finally:
        tracemalloc.stop()
