"""CPU time in the process: requests of several shapes, calls, spans, streams, exports.

Each variant has one process for all rows. In each round all variants have their turn, so that a
change of the machine's speed hits all alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks.cost._child import Child
from benchmarks.cost._process import on_core
from benchmarks.cost._results import Record
from benchmarks.cost._run import Options
from benchmarks.cost._sink import Receiver
from benchmarks.peers import Variant
from benchmarks.variants import UNTRACED


@dataclass(frozen=True)
class Row:
    """One row: a workload with its parameters.

    Attributes:
        part: The part that it belongs to.
        name: Its name in the table.
        workload: A name of `WORKLOADS`.
        params: The workload's parameters.
        peers: Modules of the variants that are measured; all where it is empty.
        unsampled: Whether unsampled variants are measured.
    """

    part: str
    name: str
    workload: str
    params: Mapping[str, Any] = field(default_factory=dict)
    peers: tuple[str, ...] = ()
    unsampled: bool = True

    def measures(self, variant: Variant) -> bool:
        """Whether a variant has this row."""
        if variant.name == UNTRACED:
            return True
        if self.peers and (variant.peer not in self.peers or variant.option):
            return False
        return variant.sampled or self.unsampled


GROWING = ("ours", "stock")
ROWS = (
    Row("request", "small (6 headers, 3 routes)", "request", {"headers": 6, "routes": 3}),
    Row("request", "mesh (21 headers, 100 routes)", "request", {"headers": 21, "routes": 100}),
    Row("full", "two calls, three queries, two log lines", "full"),
    Row("call", "httpx call", "call"),
    Row("span", "manual span", "span"),
    Row("stream", "response of 100 chunks", "stream"),
    Row(
        "export",
        "span with 8 attributes",
        "export",
        {},
        ("ours", "stock", "native", "logfire"),
        unsampled=False,
    ),
    *(Row("routes", f"{count}", "request", {"routes": count}, GROWING) for count in (1, 100, 1000)),
    *(
        Row("headers", f"{count}", "request", {"routes": 1, "headers": count}, GROWING)
        for count in (6, 20, 40, 60)
    ),
    *(
        Row("spans", f"{count}", "span", {"spans": count, "a_request": True}, GROWING)
        for count in (1, 10, 50, 100)
    ),
)
PARTS = tuple(dict.fromkeys(row.part for row in ROWS))


def measure(options: Options) -> Iterator[Record]:
    """Measure the rows of the parts that were asked for, round after round."""
    rows = [row for row in ROWS if row.part in options.parts]
    rounds, seconds = options.rounds or (1 if options.quick else 7), 0.05 if options.quick else 0.15
    with ExitStack() as stack:
        # The receiver works beside the variants; their exporting threads stay on the first core, as in a pod.
        receiver = stack.enter_context(Receiver(len(options.variants), on_core(1)))
        children = [
            stack.enter_context(Child(variant, sink, on_core(0)))
            for variant, sink in zip(options.variants, receiver.sinks, strict=True)
        ]
        for row in rows:
            measured = [child for child in children if row.measures(child.variant)]
            for number in range(rounds):
                for child in measured if number % 2 == 0 else measured[::-1]:
                    figures = child.run(row.workload, row.params, seconds=seconds)
                    yield Record(row.part, row.name, f"{options.run}.{number}", child.variant.name, figures)
