"""What tracing adds to the start of a service: imports and configuration over ``import fastapi``.

Each variant starts in a process of its own, in turns. Byte code is cached, as in an image that was
run once.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from resource import RUSAGE_CHILDREN, getrusage

from benchmarks.cost._child import ROOT, environment
from benchmarks.cost._process import on_core
from benchmarks.cost._results import Record
from benchmarks.cost._run import Options
from benchmarks.cost._sink import Receiver
from benchmarks.peers import Sink, Variant
from benchmarks.variants import UNTRACED

PART, ROW = "startup", "imports and configuration"
CODE = """
from benchmarks.cost._app import set_up
set_up()
import fastapi, os
os._exit(0)
"""


def start(variant: Variant, sink: Sink) -> dict[str, float]:
    """Start one process; give its CPU and wall milliseconds, without those of its end."""
    environ = environment(variant, sink)
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [*on_core(0), sys.executable, "-c", CODE]
    before, begun = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command, env=environ, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after, wall = getrusage(RUSAGE_CHILDREN), time.perf_counter() - begun
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_ms": cpu * 1000, "wall_ms": wall * 1000}


def measure(options: Options) -> Iterator[Record]:
    """Measure a variant of each tracer, round after round."""
    rounds = options.rounds or (1 if options.quick else 7)
    variants = [one for one in options.variants if one.sampled or one.name == UNTRACED]
    with Receiver(len(variants), on_core(1)) as receiver:
        pairs = list(zip(variants, receiver.sinks, strict=True))
        for number in range(-1, rounds):
            for variant, sink in pairs if number % 2 == 0 else pairs[::-1]:
                figures = start(variant, sink)
                if number >= 0:
                    yield Record(PART, ROW, f"{options.run}.{number}", variant.name, figures)
