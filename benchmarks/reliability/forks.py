"""Forked processes keep their spans, and all of them come to an end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks.reliability._forking import PLANS
from benchmarks.reliability._processes import ROOT, environment
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import OtlpReceiver

EXIT_S = 5.0
LIMIT_S = 30.0
# The end of an interpreter takes a processor a moment, with tracing and without.
_CHILD_S = 0.5
# The plan and its children.
FAMILIES = (("before", 3), ("after", 3), ("nested", 3), ("after", 50))
# `None` leaves the variable unset.
SUPPORT = (None, "0", "1")


@dataclass(frozen=True)
class Outcome:
    """What became of a family of processes.

    Attributes:
        arrived: Its spans that arrived.
        expected: And those that should have.
        exit_s: Seconds that the slowest of them took to end; ``inf`` where they had to be killed.
    """

    arrived: int
    expected: int
    exit_s: float


def family(plan: str, children: int, support: str | None, variant: Variant) -> Outcome:
    """Run a family until all of them have ended, or for half a minute and some more for many."""
    _, of_parent, of_child = PLANS[plan]
    more = {} if support is None else {"GRPC_ENABLE_FORK_SUPPORT": support}
    with OtlpReceiver() as receiver:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.reliability._forking", plan, str(children)],
            env=environment(variant, receiver.grpc_endpoint, more),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            told, _ = process.communicate(timeout=LIMIT_S + children * _CHILD_S)
            ended = time.monotonic()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            told, _ = process.communicate()
            told, ended = "", 0.0
        arrived = len(receiver.spans)
    if told:
        slowest, done_at = map(float, told.split())
        exit_s = max(slowest, ended - done_at)
    else:
        exit_s = float("inf")
    return Outcome(arrived, of_parent + children * of_child, exit_s)


def forks(variant: Variant, scale: Scale) -> Figure:
    """Run every family with every value."""
    families = FAMILIES if scale.full else FAMILIES[:3]
    support = SUPPORT if scale.full else SUPPORT[:2]
    tried = [(plan, children, value) for plan, children in families for value in support]
    # What hangs does so side by side.
    with ThreadPoolExecutor(3 if variant == "stock" else 1) as pool:
        found = list(pool.map(lambda one: family(*one, variant), tried))
    arrived, expected = sum(one.arrived for one in found), sum(one.expected for one in found)
    hung = sum(one.exit_s == float("inf") for one in found)
    worst = max(one.exit_s for one in found)
    text = f"{arrived}/{expected} spans; "
    text += (
        f"{hung} of {len(found)} families hung > {LIMIT_S:.0f} s" if hung else f"slowest exit {worst:.1f} s"
    )
    good = all(one.arrived == one.expected for one in found) and worst <= EXIT_S
    return Figure(text, good)


ROWS = [
    Row(
        "forks",
        "forked processes deliver their spans and end in time",
        "all spans; exit ≤ 5 s",
        forks,
    ),
]
