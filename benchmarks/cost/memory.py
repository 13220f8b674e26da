"""Memory of a process under more load than it can deliver: it has to stay below a limit.

Two loads: sampled requests while the collector is down, and spans of one unsampled request, which
this library holds until it is known whether the request fails.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.cost._child import Child
from benchmarks.cost._process import on_core
from benchmarks.cost._results import Record
from benchmarks.cost._run import Options
from benchmarks.peers import Sink, Variant
from benchmarks.variants import UNTRACED

DOWN, TRACE = "memory", "trace_memory"
PARTS = (DOWN, TRACE)
NOBODY = Sink(grpc=9, http=9)
"""Ports on which nothing listens."""


def measure(options: Options) -> Iterator[Record]:
    """Raise the load step by step; each variant has a process for each load."""
    for part in options.parts:
        unsampled = part == TRACE
        names = {UNTRACED, *(f"{one}, {'un' * unsampled}sampled" for one in ("ours", "stock"))}
        for variant in options.variants:
            if variant.name in names:
                yield from (requests if part == DOWN else spans)(options, variant)


def requests(options: Options, variant: Variant) -> Iterator[Record]:
    """Send sampled requests while nothing listens at the exporter's address."""
    step, steps = (2_000, 5) if options.quick else (5_000, 6)
    with Child(variant, NOBODY, on_core(0), OTEL_BSP_MAX_QUEUE_SIZE="2048") as child:
        for number in range(steps + 1):
            figures = child.run("request", {"routes": 1}, units=number * step and step, flush=False)
            yield Record(DOWN, f"{number * step}", options.run, variant.name, figures)


def spans(options: Options, variant: Variant) -> Iterator[Record]:
    """Open ever more spans in one request."""
    most = 20_000 if options.quick else 100_000
    with Child(variant, NOBODY, on_core(0), OTEL_BSP_MAX_QUEUE_SIZE="2048") as child:
        for count in (1, most // 4, most // 2, most * 3 // 4, most):
            params = {"spans": count, "a_request": True}
            figures = child.run("span", params, units=1, flush=False)
            yield Record(TRACE, f"{count}", options.run, variant.name, figures)
