"""The collector is away for a minute: what the log says meanwhile, and how soon spans arrive again."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

from benchmarks.reliability._collector import Collector
from benchmarks.reliability._processes import WORK, Served, serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant

LINES_A_MINUTE = 2
BACK_S = 15.0
_GIVEN_UP_S = 40.0
# A library's own records, whatever formats them; a traceback is a part of its record.
_LINE = re.compile(r'"(?:log\.logger|name)": ?"(?:eco2_tracing|opentelemetry|grpc)\b')
_DROPPED = re.compile(r"\d+ dropped")
_PACE_S = 0.02
_BURST = 3000
_AFTERMATH_S = 5.0


@dataclass(frozen=True)
class Outage:
    """What was seen of one.

    Attributes:
        away: What the log said until spans arrived again.
        minutes: How long that was.
        back: What it said afterwards.
        delay_s: Seconds from the collector's return to the first span; ``inf`` for none in time.
    """

    away: tuple[str, ...]
    minutes: float
    back: tuple[str, ...]
    delay_s: float


def killed(collector: Collector) -> None:
    """Bring back a collector that was killed."""
    collector.start()


def replaced(collector: Collector) -> None:
    """Put a new collector in the place of one that hangs."""
    collector.kill()
    collector.start()


# How the collector goes, and how it comes back.
OUTAGES: dict[str, tuple[Callable[[Collector], None], Callable[[Collector], None]]] = {
    "killed": (Collector.kill, killed),
    "hung": (Collector.freeze, replaced),
    "failing": (Collector.fail_with, Collector.recover),
}


def library_lines(served: Served) -> tuple[str, ...]:
    """Give the lines of the log that tracing wrote."""
    return tuple(line for line in served.log.read_text(errors="replace").splitlines() if _LINE.search(line))


@contextmanager
def traffic(served: Served) -> Iterator[None]:
    """Send requests all the while."""
    over = threading.Event()

    def send() -> None:
        while not over.wait(_PACE_S):
            with suppress(OSError):
                served.get(WORK.format(item=1))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def outage(kind: str, variant: Variant, seconds: float) -> Outage:
    """Take the collector away, more spans than the queue holds meanwhile, and bring it back."""
    go, come_back = OUTAGES[kind]
    with (
        Collector() as collector,
        serving(variant, collector.endpoint, routes="_routes_filling") as served,
        traffic(served),
    ):
        collector.wait_for_more(0, 30)
        before = len(library_lines(served))
        go(collector)
        begun = time.monotonic()
        served.get(f"/fill/{_BURST}")
        time.sleep(seconds)
        until = len(library_lines(served))
        if kind == "failing":
            collector.clear()
        come_back(collector)
        returned = time.monotonic()
        delay_s = float("inf")
        while delay_s > _GIVEN_UP_S > time.monotonic() - returned:
            told = len(library_lines(served))
            if collector.wait_for_more(0, 0.1) is None:
                until = told
            else:
                delay_s = time.monotonic() - returned
        passed = time.monotonic() - begun
        time.sleep(_AFTERMATH_S)
        said = library_lines(served)
        return Outage(said[before:until], passed / 60, said[until:], delay_s)


@cache
def outages(variant: Variant, scale: Scale) -> dict[str, Outage]:
    """Have every kind of outage, all at the same time."""
    seconds = scale.of(65, 12)
    with ThreadPoolExecutor(len(OUTAGES)) as pool:
        return dict(zip(OUTAGES, pool.map(lambda kind: outage(kind, variant, seconds), OUTAGES), strict=True))


def said(line: str) -> str:
    """Give the message of a line of the log."""
    try:
        return json.loads(line)["message"]
    except (ValueError, KeyError):
        return line


def lines(variant: Variant, scale: Scale) -> Figure:
    """Count what was logged."""
    seen = outages(variant, scale)
    rates = {kind: len(one.away) / max(one.minutes, 1) for kind, one in seen.items()}
    counted = all(
        any(_DROPPED.search(said(line)) for line in (*one.away, *one.back)) for one in seen.values()
    )
    at_return = [len(one.back) for one in seen.values()]
    worst = max(rates.values())
    text = f"{worst:.0f} a minute, {'with' if counted else 'without'} the drop count; {max(at_return)} when it is back"
    return Figure(text, worst <= LINES_A_MINUTE and counted and at_return == [1] * len(seen))


def back(variant: Variant, scale: Scale) -> Figure:
    """Tell how long delivery took to begin again."""
    delays = {kind: one.delay_s for kind, one in outages(variant, scale).items()}
    told = [
        f"{f'{delay:.1f} s' if delay <= _GIVEN_UP_S else f'> {_GIVEN_UP_S:.0f} s'} ({kind})"
        for kind, delay in delays.items()
    ]
    return Figure(", ".join(told), max(delays.values()) <= BACK_S)


ROWS = [
    Row(
        "quiet",
        "an outage of the collector adds few log lines",
        "≤ 2 lines a minute with a drop count, 1 line at the return",
        lines,
    ),
    Row("return", "delivery resumes soon after the collector's return", "≤ 15 s", back),
]
