"""Forks in every order, as a program: each process makes a span that is named after itself.

    python -m benchmarks.reliability._forking PLAN CHILDREN

Prints the longest time from a process's last span to its end as its parent saw it, but for the first
process's own, which prints when it begins to end.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from collections.abc import Callable

from opentelemetry import trace

_FIGURE = struct.Struct("d")
_AT_ONCE = 2


def configure() -> None:
    """Set tracing up as the mode says."""
    if os.environ["RELIABILITY_MODE"] == "ours":
        import eco2_tracing

        eco2_tracing.configure_tracing("forking")
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def make_span(name: str) -> None:
    """Create a span."""
    trace.get_tracer("forking").start_span(name).end()


class Family:
    """Children, and how long they take to end.

    They live at the same time, and end some after others: the end of an interpreter takes a processor a while.

    Attributes:
        slowest: Seconds of the slowest that this process has waited for.
    """

    def __init__(self) -> None:
        self._born: dict[int, mmap.mmap] = {}
        self._turns, self._give_turn = os.pipe()
        self.slowest = 0.0

    def fork(self, work: Callable[[], None]) -> None:
        """Fork; the child works, ends as a script does, and never comes back."""
        done_at = mmap.mmap(-1, _FIGURE.size)
        pid = os.fork()
        if pid == 0:
            work()
            os.read(self._turns, 1)
            _FIGURE.pack_into(done_at, 0, time.monotonic())
            sys.exit(0)
        self._born[pid] = done_at

    def wait(self) -> None:
        """Wait for every child."""
        os.write(self._give_turn, b"." * _AT_ONCE)
        while self._born:
            pid, _ = os.wait()
            os.write(self._give_turn, b".")
            done_at = self._born.pop(pid)
            self.slowest = max(self.slowest, time.monotonic() - _FIGURE.unpack_from(done_at)[0])


def before(children: int) -> None:
    """Fork first; every process configures itself."""
    family = Family()
    for number in range(children):
        family.fork(lambda name=f"child {number}": (configure(), make_span(name)))
    configure()
    make_span("parent")
    finish(family)


def after(children: int) -> None:
    """Fork a configured process that has exported spans and has queued ones."""
    configure()
    make_span("parent")
    trace.get_tracer_provider().force_flush()
    make_span("parent")
    family = Family()
    for number in range(children):
        family.fork(lambda name=f"child {number}": make_span(name))
    make_span("parent")
    finish(family)


def nested(children: int) -> None:
    """Children of children, which continue after their children have ended."""
    configure()
    make_span("parent")
    family = Family()
    for number in range(children):
        family.fork(lambda name=f"child {number}": _with_child(name))
    finish(family)


def _with_child(name: str) -> None:
    make_span(name)
    family = Family()
    family.fork(lambda: make_span(f"{name} of a child"))
    family.wait()
    make_span(name)


def finish(family: Family) -> None:
    """Wait for the children, and tell how long they took."""
    family.wait()
    print(family.slowest, time.monotonic(), flush=True)


PLANS: dict[str, tuple[Callable[[int], None], int, int]] = {
    # What it does, spans of the parent, spans for each child.
    "before": (before, 1, 1),
    "after": (after, 3, 1),
    "nested": (nested, 1, 3),
}

if __name__ == "__main__":
    PLANS[sys.argv[1]][0](int(sys.argv[2]))
