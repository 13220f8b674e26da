"""Spans that wait in a queue are delivered, whatever server is stopped, recycled or reloaded."""

from __future__ import annotations

import http.client
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.reliability._processes import Served, serving, wait_until
from benchmarks.reliability._row import Figure, Row, Scale, Variant
from benchmarks.reliability.shutdown import seconds_to_end

from eco2_tracing.testing import OtlpReceiver

REQUESTS = 10
_MOST_REQUESTS = 500
_CHANGE_S = 45.0
_PACE_S = 0.05
NAME = "GET /jobs/{item}"
# Nothing leaves the queue by itself while a row runs.
PATIENT = {"OTEL_BSP_SCHEDULE_DELAY": "120000"}
_RECYCLE_AFTER = "7"
_NO_LIFESPAN = ("-k", "benchmarks.reliability._workers.NoLifespan")
_OFF = ("--lifespan", "off")
# A machine that does other things makes workers start late: that is no reason to kill them.
_WORKERS = ("--workers", "2", "--timeout-worker-healthcheck", "30")


@dataclass(frozen=True)
class SetUp:
    """One way to run the service.

    Attributes:
        server: Its name in the table of command lines.
        options: More words.
        off: The words that switch the lifespan off; empty where the server cannot.
        workers: How many processes serve.
    """

    server: str
    options: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    workers: int = 1

    def lines(self) -> list[tuple[str, ...]]:
        """Give the words of each command line: with a lifespan, and without."""
        return [self.options, (*self.options, *self.off)] if self.off else [self.options]


SET_UPS = {
    "uvicorn": SetUp("uvicorn", off=_OFF),
    "uvicorn --workers": SetUp("uvicorn", _WORKERS, _OFF, 2),
    "uvicorn --reload": SetUp("uvicorn", ("--reload", "--reload-dir", "{folder}"), _OFF),
    "gunicorn": SetUp("gunicorn", off=_NO_LIFESPAN),
    "gunicorn --preload": SetUp("gunicorn", ("--preload", "-w", "2"), _NO_LIFESPAN, 2),
    "gunicorn's own worker": SetUp("gunicorn", ("-k", "asgi"), ("--asgi-lifespan", "off")),
    "hypercorn": SetUp("hypercorn"),
    "hypercorn --workers": SetUp("hypercorn", ("-w", "2"), workers=2),
    "granian": SetUp("granian", off=("--interface", "asginl")),
    "granian --workers": SetUp("granian", ("--workers", "2"), ("--interface", "asginl"), 2),
}


@dataclass
class Delivered:
    """What arrived of a server's spans.

    Attributes:
        name: The server's.
        expected: How many spans should have, at least: a worker on its way out may make one without an answer.
        arrived: How many did.
        tried: Whether what was to be tried took place.
    """

    name: str
    expected: int
    arrived: int
    tried: bool = True

    @property
    def complete(self) -> bool:
        """Whether all did."""
        return self.tried and self.arrived >= self.expected


def count(receiver: OtlpReceiver) -> int:
    """Count the spans of requests that have arrived, each once."""
    return len({(span.trace_id, span.span_id) for span in receiver.find(NAME)})


def work(served: Served, requests: int = REQUESTS) -> set[int]:
    """Send requests that make a span each; give the processes that answered.

    A request that meets a worker on its way out is sent again.
    """
    pids = set()
    for item in range(requests):
        wait_until(partial(answered, served, f"/jobs/{item}", pids), f"an answer of request {item}")
    return pids


def answered(served: Served, path: str, pids: set[int]) -> bool:
    """Send a request; note the process that answers."""
    with suppress(OSError, http.client.HTTPException):
        status, body = served.get(path)
        if status == 200:
            pids.add(int(body))
            return True
    return False


def stopped(name: str, line: Sequence[str], number: int, variant: Variant) -> Delivered:
    """Stop a server by a signal."""
    with (
        OtlpReceiver() as receiver,
        tempfile.TemporaryDirectory() as folder,
        serving(
            variant,
            receiver.grpc_endpoint,
            server=SET_UPS[name].server,
            options=[word.format(folder=folder) for word in line],
            environ=PATIENT,
        ) as served,
    ):
        _, sent = warmed_up(served, SET_UPS[name].workers)
        seconds_to_end(served, number)
        return Delivered(name, sent, count(receiver))


def warmed_up(served: Served, workers: int) -> tuple[set[int], int]:
    """Send requests until every worker has answered: one that is still starting misses a signal.

    Returns:
        The workers, and how many requests were sent.
    """
    pids = work(served)
    sent = REQUESTS
    while len(pids) < workers and sent < _MOST_REQUESTS:
        pids |= work(served, 1)
        sent += 1
    return pids, sent


def at_signal(number: int, variant: Variant, scale: Scale) -> Figure:
    """Stop every server by a signal."""
    names = list(SET_UPS) if scale.full else ["uvicorn", "gunicorn --preload"]
    tried = [(name, line) for name in names for line in SET_UPS[name].lines()]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda one: stopped(*one, number, variant), tried))
    return told(found)


def told(found: Sequence[Delivered]) -> Figure:
    """Say what arrived, server by server."""
    good: dict[str, bool] = {}
    for one in found:
        good[one.name] = one.complete and good.get(one.name, True)
    expected = sum(one.expected for one in found)
    arrived = sum(min(one.arrived, one.expected) for one in found)
    text = f"{sum(good.values())}/{len(good)} servers, {arrived}/{expected} spans"
    if missing := [name for name, fine in good.items() if not fine]:
        text += f" (not {', '.join(missing)})"
    return Figure(text, all(good.values()))


def hang_up(served: Served, folder: Path) -> None:
    """Ask for a reload by SIGHUP."""
    served.process.send_signal(signal.SIGHUP)


def edit(served: Served, folder: Path) -> None:
    """Write to a file that a reloader watches."""
    (folder / "watched.py").write_text("changed = True\n")


def wait(served: Served, folder: Path) -> None:
    """Do nothing: the requests themselves wear the worker out."""


@dataclass(frozen=True)
class Change:
    """One way to have a worker replaced while the server goes on.

    Attributes:
        server: As in `SetUp`.
        options: As in `SetUp`.
        cause: What has the worker replaced.
        workers: How many processes serve.
    """

    server: str
    options: tuple[str, ...]
    cause: Callable[[Served, Path], None]
    workers: int = 1


CHANGES = {
    "gunicorn --max-requests": Change("gunicorn", ("--max-requests", _RECYCLE_AFTER), wait),
    "gunicorn --max-requests --preload": Change(
        "gunicorn", ("--preload", "--max-requests", _RECYCLE_AFTER), wait
    ),
    "gunicorn's own worker --max-requests": Change(
        "gunicorn", ("-k", "asgi", "--max-requests", _RECYCLE_AFTER), wait
    ),
    "uvicorn --workers --limit-max-requests": Change(
        "uvicorn", (*_WORKERS, "--limit-max-requests", _RECYCLE_AFTER), wait
    ),
    "hypercorn --max-requests": Change("hypercorn", ("--max-requests", _RECYCLE_AFTER, "-w", "2"), wait),
    "gunicorn HUP": Change("gunicorn", (), hang_up),
    "gunicorn's own worker HUP": Change("gunicorn", ("-k", "asgi"), hang_up),
    "uvicorn --workers HUP": Change("uvicorn", _WORKERS, hang_up, 2),
    "granian HUP": Change("granian", (), hang_up),
    "uvicorn --reload": Change("uvicorn", ("--reload", "--reload-dir", "{folder}"), edit),
}


def changed(name: str, variant: Variant) -> Delivered:
    """Have workers replaced, go on with new ones, and stop the server."""
    change = CHANGES[name]
    with OtlpReceiver() as receiver, tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "watched.py").write_text("changed = False\n")
        with serving(
            variant,
            receiver.grpc_endpoint,
            server=change.server,
            options=[word.format(folder=folder) for word in change.options],
            environ=PATIENT,
        ) as served:
            before, sent = warmed_up(served, change.workers)
            change.cause(served, folder)
            end = time.monotonic() + _CHANGE_S
            after = set[int]()
            while after <= before and time.monotonic() < end:
                after |= work(served, 1)
                sent += 1
                time.sleep(_PACE_S)
            after |= work(served)
            sent += REQUESTS
            seconds_to_end(served, signal.SIGTERM)
            return Delivered(name, sent, count(receiver), tried=not after <= before)


def at_change(variant: Variant, scale: Scale) -> Figure:
    """Have the workers of every server replaced."""
    names = list(CHANGES) if scale.full else ["gunicorn --max-requests", "uvicorn --reload"]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda name: changed(name, variant), names))
    return told(found)


ROWS = [
    Row(
        "sigterm",
        "queued spans are delivered at SIGTERM",
        "all",
        partial(at_signal, signal.SIGTERM),
    ),
    Row(
        "sigint",
        "queued spans are delivered at SIGINT",
        "all",
        partial(at_signal, signal.SIGINT),
    ),
    Row("recycle", "queued spans are delivered when workers are recycled or reloaded", "all", at_change),
]
