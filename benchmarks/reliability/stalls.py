"""How long the event loop stands still, under load and while the service ends, beside the untraced one."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from benchmarks.reliability import _routes_ticking as _ticking
from benchmarks.reliability._collector import Collector, black_hole, refused
from benchmarks.reliability._load import Client, Pair
from benchmarks.reliability._processes import serving
from benchmarks.reliability._row import Figure, Row, Scale, Variant
from benchmarks.reliability.shutdown import seconds_to_end

STALL_MS = 50.0
_ROUTES = "_routes_ticking"


@contextmanager
def healthy() -> Iterator[str]:
    """Give the endpoint of a collector that does its work."""
    with Collector() as collector:
        yield collector.endpoint


@contextmanager
def slow() -> Iterator[str]:
    """Give the endpoint of a collector that takes seconds for each answer."""
    with Collector() as collector:
        collector.answer_after(2.0)
        yield collector.endpoint


# Where spans go, the server, and more words of its command line.
CASES: list[tuple[Callable[[], AbstractContextManager[str]], str, tuple[str, ...]]] = [
    (healthy, "uvicorn", ()),
    (slow, "uvicorn", ()),
    (black_hole, "uvicorn", ()),
    (black_hole, "uvicorn", ("--lifespan", "off")),
    (refused, "gunicorn", ()),
]


def stalls(
    place: Callable[[], AbstractContextManager[str]],
    server: str,
    options: tuple[str, ...],
    variant: Variant,
    requests: int,
) -> tuple[float, float]:
    """Load an untraced service and a traced one, and end both; give the longest stall of each in ms."""
    with ExitStack() as stack:
        endpoint = stack.enter_context(place())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        both = []
        for mode in ("bare", variant):
            file = folder / mode
            _ticking.prepare(file)
            both.append(
                stack.enter_context(
                    serving(
                        mode,
                        endpoint,
                        server=server,
                        options=options,
                        routes=_ROUTES,
                        environ={_ticking.FILE: str(file)},
                    )
                )
            )
        pair = Pair(*(Client(one.port) for one in both))
        # What is imported and filled at the first requests is no stall of a running service.
        pair.warm_up(100)
        for one in both:
            one.get("/tick")
        pair.ask(requests)
        for client in (pair.bare, pair.traced):
            client.close()
        for one in both:
            seconds_to_end(one, signal.SIGTERM)
        bare, traced = (_ticking.longest(folder / mode) * 1000 for mode in ("bare", variant))
        if not bare or not traced:
            raise RuntimeError("the task did not tick")
        return bare, traced


def stall(variant: Variant, scale: Scale) -> Figure:
    """Find the case with the longest stall.

    Of each case's rounds the calmest counts: what tracing does it does in all of them, while a machine that does
    other things as well makes stalls of its own.
    """
    rounds, requests = scale.of(3, 2), scale.of(2600, 700)
    found = []
    for case in CASES if scale.full else CASES[2:3]:
        bare, traced = min(
            (stalls(*case, variant, requests) for _ in range(rounds)), key=lambda pair: pair[1]
        )
        found.append((traced - bare, traced))
    added, worst = max(found)
    return Figure(f"{worst:.0f} ms, {max(added, 0):.0f} of them added", added < STALL_MS)


ROWS = [
    Row("stall", "the event loop does not stall under load or at shutdown", "< 50 ms added", stall),
]
