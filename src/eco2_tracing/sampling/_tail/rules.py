"""What is worth keeping, how much of it, and how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

_NEVER = float("inf")
_NS_PER_MS = 1_000_000


class TailLimits(NamedTuple):
    """What may be held and kept.

    Attributes:
        kept_per_second: Local traces rescued a second, with a burst of one second.
        traces: Local traces that hold ended spans at one time.
        spans: Ended spans held in all.
        bytes: Bytes of the heavy ones among them: what is beyond is cut from them.
        spans_per_trace: Ended spans held of one local trace.
        age_s: Seconds after which what a local trace holds is let go.
    """

    kept_per_second: int = 200
    traces: int = 2_000
    spans: int = 20_000
    bytes: int = 4 * 1024 * 1024
    spans_per_trace: int = 512
    age_s: float = 300.0


class TailRules(NamedTuple):
    """What makes a local trace worth keeping.

    Attributes:
        error_rate: Share of failing local traces that are kept, 0 to 1.
        slow_ms: Milliseconds from which a local root is slow; ``None`` for never.
        slow_ms_by_route: The same for single routes, by ``http.route``; wins over ``slow_ms``.
    """

    error_rate: float = 1.0
    slow_ms: float | None = None
    slow_ms_by_route: Mapping[str, float] = MappingProxyType({})

    @property
    def wants_slow(self) -> bool:
        """Whether any slowness counts."""
        return self.slow_ms is not None or bool(self.slow_ms_by_route)

    @property
    def floor_ns(self) -> float:
        """Nanoseconds below which no route is slow."""
        general = _NEVER if self.slow_ms is None else self.slow_ms
        return min(general, *self.slow_ms_by_route.values(), _NEVER) * _NS_PER_MS

    def threshold_ns(self, route: object) -> float:
        """Nanoseconds from which a route is slow.

        Args:
            route: The local root's ``http.route``, where it has one.
        """
        ms = self.slow_ms_by_route.get(route) if isinstance(route, str) else None
        if ms is None:
            ms = self.slow_ms
        return _NEVER if ms is None else ms * _NS_PER_MS


class TokenBucket:
    """So many a second, with a burst of one second.

    Args:
        rate: Tokens a second.
        clock: Monotonic seconds.
    """

    __slots__ = ("_clock", "_last", "_rate", "_refused_at", "_tokens")

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._clock = clock
        self._last = clock()
        self._refused_at = -_NEVER

    def take(self) -> bool:
        """Take one token; False when there is none."""
        now = self._clock()
        self._tokens = min(self._rate, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return True
        self._refused_at = now
        return False

    def lately_refused(self) -> bool:
        """Whether one was refused within the last second, so that no probability is known."""
        return self._clock() - self._refused_at < 1.0
