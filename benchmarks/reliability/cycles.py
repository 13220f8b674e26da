"""Nothing adds up: threads over many configurations, memory over many requests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

from benchmarks.reliability._collector import Collector
from benchmarks.reliability._processes import ROOT, environment
from benchmarks.reliability._row import Figure, Row, Scale, Variant

CYCLES = 20
GROWTH = 0.05
# The stock set-up takes several times as long for a request, and still has to be done within minutes.
REQUESTS = {"ours": 1_000_000, "stock": 150_000}
QUICK_REQUESTS = 12_000
_CLEAR_S = 1.0
_LIMIT_S = 3600.0


def run(what: str, count: int, variant: Variant) -> list[int]:
    """Run a program of `_cycling`, beside a collector that forgets what it gets; give its figures."""
    with Collector() as collector:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reliability._cycling", what, str(count)],
            env=environment(variant, collector.endpoint),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            return json.loads(output(process, collector))
        finally:
            process.kill()
            process.wait()


def output(process: subprocess.Popen[str], collector: Collector) -> str:
    """Have the collector forget what it gets until the process ends; give what this has printed.

    Raises:
        TimeoutError: It did not end.
    """
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        try:
            return process.communicate(timeout=_CLEAR_S)[0]
        except subprocess.TimeoutExpired:
            collector.clear()
    raise TimeoutError(f"not done after {_LIMIT_S:g} s")


def threads(variant: Variant, scale: Scale) -> Figure:
    """Configure and shut down so often."""
    found = run("cycles", scale.of(CYCLES, 5), variant)
    return Figure(f"{found[-1]} after {len(found)}, {found[0]} after one", found[-1] <= found[0])


def memory(variant: Variant, scale: Scale) -> Figure:
    """Serve many requests."""
    count = scale.of(REQUESTS[variant], QUICK_REQUESTS)
    sizes = run("soak", count, variant)
    quarter = len(sizes) // 4
    second, last = median(sizes[quarter : 2 * quarter]), median(sizes[-quarter:])
    growth = last / second - 1
    text = f"{growth:+.1%} ({second / 2**20:.0f} to {last / 2**20:.0f} MiB) over {count:,} requests".replace(
        ",", " "
    )
    return Figure(text, growth <= GROWTH)


ROWS = [
    Row("threads", "repeated configuration and shutdown leaves no threads", "as after one", threads),
    Row("memory", "memory does not grow over 1 000 000 requests", "≤ +5 %", memory),
]
