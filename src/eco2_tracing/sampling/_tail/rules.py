"""The settings of the tail sampler: reasons to keep a local trace, limits, and sampling probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing.sampling._head.base import UNKNOWN
from eco2_tracing.sampling._tail.local_trace import ERROR, HEAD, SLOW

if TYPE_CHECKING:
    from eco2_tracing.sampling._head.base import HeadSampler
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

_NEVER = float("inf")
_NS_PER_MS = 1_000_000


class TailLimits(NamedTuple):
    """The limits of buffering and keeping in one process.

    Attributes:
        kept_per_second: Local traces kept a second, with a burst of one second.
        traces: Local traces with buffered spans.
        spans: Buffered spans of all local traces.
        bytes: Bytes of the large spans among them; spans beyond it are pruned.
        spans_per_trace: Buffered spans of one local trace.
        age_s: Seconds after which the buffered spans of a local trace are evicted.
    """

    kept_per_second: int = 200
    traces: int = 2_000
    spans: int = 20_000
    bytes: int = 4 * 1024 * 1024
    spans_per_trace: int = 512
    age_s: float = 300.0


class TailRules(NamedTuple):
    """The reasons to keep a local trace.

    Attributes:
        error_rate: Share of failing local traces that are kept, 0 to 1.
        slow_ms: Milliseconds from which a local root is slow; ``None`` for never.
        slow_ms_by_route: The same by ``http.route``; overrides ``slow_ms``.
    """

    error_rate: float = 1.0
    slow_ms: float | None = None
    slow_ms_by_route: Mapping[str, float] = MappingProxyType({})

    @property
    def wants_slow(self) -> bool:
        """True if slow local roots are kept."""
        return self.slow_ms is not None or bool(self.slow_ms_by_route)

    @property
    def floor_ns(self) -> float:
        """Nanoseconds below which no route is slow."""
        general = _NEVER if self.slow_ms is None else self.slow_ms
        return min(general, *self.slow_ms_by_route.values(), _NEVER) * _NS_PER_MS

    def threshold_ns(self, route: object) -> float:
        """Return the nanoseconds from which a route is slow.

        Args:
            route: The local root's ``http.route``; ``None`` if it has none.
        """
        ms = self.slow_ms_by_route.get(route) if isinstance(route, str) else None
        if ms is None:
            ms = self.slow_ms
        return _NEVER if ms is None else ms * _NS_PER_MS


class TokenBucket:
    """Limits events to a rate, with a burst of one second. Not thread-safe.

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
        """Take one token; return False if there is none."""
        now = self._clock()
        self._tokens = min(self._rate, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return True
        self._refused_at = now
        return False

    def lately_refused(self) -> bool:
        """Return True if a token was refused within the last second."""
        return self._clock() - self._refused_at < 1.0


class SamplingProbability:
    """The sampling probability of a local trace by what happened in it.

    Failed local traces are one stratum, slow ones another, all others a third. Every exported local trace of a
    stratum has the stratum's probability, whether the head or the tail sampler chose it. So the sum of
    1/probability over exported local traces estimates the number of all of them.

    Args:
        head: The head sampler.
        rules: The reasons to keep.
        bucket: The rate limit; while it refuses, probabilities are unknown.
    """

    def __init__(self, head: HeadSampler, rules: TailRules, bucket: TokenBucket) -> None:
        self._head = head
        self._error_rate = rules.error_rate
        self._bucket = bucket

    def probability(self, local: LocalTrace, reason: str) -> float:
        """Return the probability with which a local trace is exported that is kept for a reason.

        Args:
            local: The local trace.
            reason: ``error``, ``slow`` or ``upstream``; the last depends on limits and rates of other services.

        Returns:
            Over 0, up to 1; negative if unknown.
        """
        if reason not in (ERROR, SLOW) or self._bucket.lately_refused():
            return UNKNOWN
        if reason == SLOW or self._error_rate >= 1.0:
            return 1.0
        if not local.decided_here:
            return UNKNOWN  # the caller decided, with a rate of its own
        head = local.probability if local.state == HEAD else self._head.probability(local.name)
        # Both rates compare the same bits of the trace id: the larger share contains the smaller one.
        return UNKNOWN if head is None or head < 0 else max(self._error_rate, head)
