"""A variant's process: runs the rounds that standard input asks for, and prints what they took.

CPU time of the whole process is counted, that of exporting threads included; the receiver stands in
another process.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from benchmarks.cost._app import set_up
from benchmarks.cost._process import memory_mib
from benchmarks.peers import Sink, Variant, load, no_op

ROOT = Path(__file__).parents[2]
CLEARED = ("OTEL_", "ECO2_", "DD_", "SENTRY_", "ELASTIC_", "LOGFIRE_", "BENCH_", "FASTAPI_")


def environment(variant: Variant, sink: Sink, **more: str) -> dict[str, str]:
    """Give the environment of a variant's process: this one's without what configures a tracer."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)}
    own = {"BENCH_VARIANT": variant.name, "PYTHONPATH": str(ROOT), **more}
    return kept | own | load(variant).environment(variant, sink)


class Child:
    """A variant's process, from the outside."""

    def __init__(self, variant: Variant, sink: Sink, prefix: tuple[str, ...] = (), **environ: str) -> None:
        self.variant = variant
        # A round ends more spans at once than a request in production: nothing is dropped, all is counted.
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "benchmarks.cost._child"],
            env=environment(variant, sink, **{"OTEL_BSP_MAX_QUEUE_SIZE": "100000", **environ}),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def run(
        self,
        workload: str,
        params: Mapping[str, Any],
        *,
        seconds: float = 0,
        units: int = 0,
        flush: bool = True,
    ) -> dict[str, float]:
        """Run one round; give its figures.

        Args:
            workload: A name of `WORKLOADS`.
            params: Its parameters.
            seconds: The round lasts at least so many CPU seconds.
            units: It has at least so many units of work.
            flush: What is queued is delivered before it ends.

        Raises:
            RuntimeError: The process has ended.
        """
        asked = {"workload": workload, "seconds": seconds, "units": units, "flush": flush}
        asked["params"] = {**params, "sampled": self.variant.sampled}
        self._in.write(f"{json.dumps(asked)}\n")
        self._in.flush()
        line = self._out.readline()
        if not line:
            raise RuntimeError(f"the process of {self.variant.name!r} has ended")
        figures: dict[str, float] = json.loads(line)
        return figures

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._in.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()


def run_round(workload: Any, flush: Callable[[], object], asked: Mapping[str, Any]) -> dict[str, float]:
    """Run a workload as long as is asked; give CPU and wall time of a unit, and the memory then."""
    cpu, wall, units = time.process_time(), time.perf_counter(), 0
    while time.process_time() - cpu < asked["seconds"] or units < asked["units"]:
        workload.work()
        units += workload.units
    # What is queued is delivered and counted: nothing is left to the next round.
    flush()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    figures = {"cpu_us": cpu / units * 1e6, "per_s": units / wall} if units else {}
    return {**figures, "units": units, "memory_mib": memory_mib(os.getpid())}


def main() -> None:
    """Run rounds until standard input ends."""
    tracing = set_up()
    from benchmarks.cost._workloads import WORKLOADS

    made: dict[str, Any] = {}
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        asked = json.loads(line)
        key = json.dumps([asked["workload"], asked["params"]])
        flush = tracing.flush if asked["flush"] else no_op
        if key not in made:
            made[key] = WORKLOADS[asked["workload"]](tracing, asked["params"])
            if asked["flush"]:
                made[key].work()
                flush()
            # The applications of the other rows are not searched for garbage in this row's rounds.
            gc.collect()
            gc.freeze()
        print(json.dumps(run_round(made[key], flush, asked)), file=out, flush=True)
    # Some exporters wait long for a receiver that has ended before them.
    os._exit(0)


if __name__ == "__main__":
    main()
