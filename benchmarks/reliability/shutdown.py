"""Nobody waits long for a collector that is away: the end of a process, and a flush with a time limit."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.reliability._collector import Collector, black_hole, refused
from benchmarks.reliability._processes import Served, serving
from benchmarks.reliability._routes_filling import NAME
from benchmarks.reliability._row import Figure, Row, Scale, Variant

EXIT_S = 5.0
LIMIT_S = 30.0
SLACK = 1.1
# More than the queue and a batch hold.
FILL = 3000
_ROUTES = "_routes_filling"


def seconds_to_end(served: Served, number: int) -> float:
    """Send a signal, SIGINT as a terminal does; give the seconds to the exit, ``inf`` for one that had to be killed."""
    begun = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(served.process.pid, number)
    else:
        served.process.send_signal(number)
    try:
        served.process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        kill(served)
        return float("inf")
    return time.monotonic() - begun


def kill(served: Served) -> None:
    """End a server and its workers by force."""
    os.killpg(served.process.pid, signal.SIGKILL)
    served.process.wait()


@contextmanager
def too_slow() -> Iterator[str]:
    """Give an endpoint that answers after half a minute."""
    with Collector() as collector:
        collector.answer_after(LIMIT_S)
        yield collector.endpoint


@dataclass(frozen=True)
class End:
    """One way to end a service whose collector is away.

    Attributes:
        place: Where its spans should go.
        number: The signal.
        server: What runs it.
        options: More words of the command line.
    """

    place: Callable[[], AbstractContextManager[str]]
    number: signal.Signals
    server: str = "uvicorn"
    options: tuple[str, ...] = ()

    def measure(self, variant: Variant) -> float:
        """Fill the queue, end the service, and give the seconds that it took."""
        with (
            self.place() as endpoint,
            serving(variant, endpoint, server=self.server, options=self.options, routes=_ROUTES) as served,
        ):
            served.get(f"/fill/{FILL}")
            return seconds_to_end(served, self.number)


_OFF = ("--lifespan", "off")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
ENDS = [
    End(place, number, options=options)
    for place in (refused, black_hole, too_slow)
    for number in _SIGNALS
    for options in ((), _OFF)
]
ENDS += [
    End(black_hole, number, server, options)
    for number in _SIGNALS
    for server, options in (
        ("uvicorn", ("--workers", "2")),
        ("gunicorn", ()),
        ("gunicorn", ("--preload",)),
        ("gunicorn", ("-k", "asgi")),
        ("hypercorn", ()),
        ("granian", ()),
    )
]


def ends(variant: Variant, scale: Scale) -> Figure:
    """End services in every way."""
    tried = ENDS if scale.full else ENDS[4:6]
    # What hangs does so side by side.
    with ThreadPoolExecutor(6 if variant == "stock" else 2) as pool:
        took = list(pool.map(lambda end: end.measure(variant), tried))
    worst = max(took)
    text = f"> {LIMIT_S:.0f} s" if worst > LIMIT_S else f"{worst:.1f} s"
    late = sum(one > EXIT_S for one in took)
    return Figure(f"worst {text}; {late} of {len(took)} over {EXIT_S:.0f} s", worst <= EXIT_S)


@dataclass
class Flushes:
    """What flushes with a limit did.

    Attributes:
        worst: The longest, as a share of its limit; ``inf`` where none came back.
        tried: How many there were.
        lies: How many said what was not so.
    """

    worst: float = 0.0
    tried: int = 0
    lies: int = 0


def healthy(collector: Collector) -> None:
    """Leave the collector as it is."""


# What the collector does, and whether a flush reaches it in time.
STATES: dict[str, tuple[Callable[[Collector], None], bool]] = {
    "healthy": (healthy, True),
    "late": (lambda collector: collector.answer_after(0.05), True),
    "too late": (lambda collector: collector.answer_after(LIMIT_S), False),
    "failing": (Collector.fail_with, False),
    "refusing for good": (lambda collector: collector.fail_with("INVALID_ARGUMENT"), False),
    "rejecting a span": (lambda collector: collector.reject_partly(1), False),
    "frozen": (Collector.freeze, False),
    "dead": (Collector.kill, False),
}


def flush_all(variant: Variant, state: str, limits: tuple[float, ...]) -> Flushes:
    """Flush one service with each limit."""
    spoil, reachable = STATES[state]
    found = Flushes()
    with ExitStack() as stack:
        collector = stack.enter_context(Collector())
        served = stack.enter_context(serving(variant, collector.endpoint, routes=_ROUTES))
        served.flush()
        spoil(collector)
        # Its end is another row's.
        stack.callback(kill, served)
        for limit_s in limits:
            # Not more than a queue that is flushed in between holds: all of it can arrive.
            served.get("/fill/500")
            found.tried += 1
            answer = flush(served, limit_s)
            if answer is None:
                found.worst = float("inf")
                return found
            told, took = answer
            arrived = collector.names().count(NAME) == 500 * found.tried if reachable else False
            # What arrives after the time was over made no lie of "not all of it has".
            found.lies += not arrived if told else arrived and took < limit_s
            found.worst = max(found.worst, took / limit_s)
    return found


def flush(served: Served, limit_s: float) -> tuple[bool, float] | None:
    """Have a service flush; give what it says and the seconds, ``None`` if it does not come back in half a minute."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=LIMIT_S)
    try:
        connection.request("GET", f"/flush-within/{limit_s}")
        return json.loads(connection.getresponse().read())
    except TimeoutError:
        return None
    finally:
        connection.close()


def flushes(variant: Variant, scale: Scale) -> Figure:
    """Flush in every state of the collector."""
    limits = (0.5, 1.0, 2.0) if scale.full else (0.5,)
    states = list(STATES) if scale.full else ["healthy", "too late", "failing"]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda state: flush_all(variant, state, limits), states))
    worst, tried = max(one.worst for one in found), sum(one.tried for one in found)
    lies = sum(one.lies for one in found)
    text = f"> {LIMIT_S:.0f} s" if worst == float("inf") else f"worst {worst:.0%} of the limit"
    return Figure(f"{text}; {lies} of {tried} untrue", worst <= SLACK and not lies)


ROWS = [
    Row(
        "exit",
        "a process ends in time with a full queue and no collector",
        "≤ 5 s",
        ends,
    ),
    Row(
        "flush",
        "a flush ends at its time limit and returns the truth",
        "≤ 110 % of the limit, 0 untrue results",
        flushes,
    ),
]
