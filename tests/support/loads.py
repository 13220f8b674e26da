"""Arrival times of new traces, for rate-limiting samplers: steady, random, in bursts."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Sequence

Load = Callable[[float, float, random.Random], list[float]]
"""From a mean rate a second, a duration in seconds and a source of randomness to rising times."""


def steady(rate: float, duration: float, source: random.Random) -> list[float]:
    """Evenly spaced."""
    return [i / rate for i in range(int(rate * duration))]


def poisson(rate: float, duration: float, source: random.Random) -> list[float]:
    """Independent of each other, like requests of many users."""
    times = []
    now = source.expovariate(rate)
    while now < duration:
        times.append(now)
        now += source.expovariate(rate)
    return times


def bursts(every: float, width: float) -> Load:
    """All traces of a period at its beginning, within ``width`` seconds."""

    def load(rate: float, duration: float, source: random.Random) -> list[float]:
        size = round(rate * every)
        starts = range(round(duration / every))
        return [start * every + width * i / size for start in starts for i in range(size)]

    return load


def on_and_off(rate: float, duration: float, source: random.Random) -> list[float]:
    """Three times the rate for 50 to 300 ms, then silence for twice as long, at random."""
    times: list[float] = []
    now = 0.0
    while now < duration:
        busy = source.uniform(0.05, 0.3)
        times += [now + at for at in poisson(3 * rate, busy, source)]
        now += 3 * busy
    return [at for at in times if at < duration]


LOADS: dict[str, Load] = {
    "steady": steady,
    "poisson": poisson,
    "10 bursts a second": bursts(0.1, 0.0),
    "a burst of 10 ms each 0.5 s": bursts(0.5, 0.01),
    "a burst of 100 ms a second": bursts(1.0, 0.1),
    "on and off at random": on_and_off,
}


def windows(kept: Sequence[float], duration: float, width: float = 10.0, step: float = 0.1) -> list[int]:
    """The number of kept traces in each sliding window."""
    # offset, so that a burst is entirely inside or outside of a window
    starts = [0.037 + i * step for i in range(int((duration - width - 0.037) / step) + 1)]
    return [bisect.bisect_left(kept, at + width) - bisect.bisect_left(kept, at) for at in starts]
