"""Requests in turns to two services: the time that one takes longer than the other."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.reliability._processes import WORK
from benchmarks.reliability._scheduler import Waiting

_CHUNK = 100


class Client:
    """One connection to a service that is kept alive.

    Args:
        port: Where it listens on loopback.
        pid: The process whose first thread serves, of this user; ``None`` where that is not known.

    Attributes:
        seconds: How long each request took, without the time that client or service were ready to run
            and other programs had the processors: Linux tells it.
        failed: How many were not answered with 200.
    """

    def __init__(self, port: int, pid: int | None = None) -> None:
        self._waiting = [Waiting()] if pid is None else [Waiting(), Waiting(pid)]
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.seconds: list[float] = []
        self.failed = 0

    def get(self, path: str) -> None:
        """Send one request, and note how it went."""
        waited, begun = self._waited_s(), time.perf_counter()
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            response.read()
            good = response.status == 200
        except (OSError, http.client.HTTPException):
            self._connection.close()
            good = False
        took = time.perf_counter() - begun
        self.seconds.append(took - (self._waited_s() - waited))
        self.failed += not good

    def _waited_s(self) -> float:
        return sum(one.seconds() for one in self._waiting)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        while self._waiting:
            self._waiting.pop().close()


@dataclass
class Pair:
    """An untraced service and a traced one, asked in turns, so that a busy machine hits both alike."""

    bare: Client
    traced: Client
    paths: Sequence[str] = (WORK.format(item=1),)
    asked: int = field(default=0, init=False)

    def ask(self, count: int) -> None:
        """Send each so many requests."""
        for _ in range(count):
            path = self.paths[self.asked % len(self.paths)]
            both = (self.bare, self.traced) if self.asked % 2 else (self.traced, self.bare)
            for one in both:
                one.get(path)
            self.asked += 1

    def warm_up(self, count: int) -> None:
        """Send requests that do not count."""
        self.ask(count)
        for one in (self.bare, self.traced):
            one.seconds.clear()

    def added_p99_ms(self) -> float:
        """Give what tracing adds to the 99th percentile: the median over portions of the run.

        Of these the half counts in which the untraced service was the fastest: the machine did little else then.
        """
        pairs = sorted(
            (p99(bare), p99(traced))
            for bare, traced in zip(portions(self.bare.seconds), portions(self.traced.seconds), strict=True)
        )
        calm = pairs[: (len(pairs) + 1) // 2]
        return median(traced - bare for bare, traced in calm) * 1000


def portions(values: Sequence[float]) -> list[Sequence[float]]:
    """Cut into portions of at least 100; fewer are one."""
    count = max(1, len(values) // _CHUNK)
    size = len(values) // count
    return [values[number * size : (number + 1) * size] for number in range(count)]


def p99(values: Sequence[float]) -> float:
    """Give the 99th percentile."""
    return sorted(values)[int(len(values) * 0.99)]
