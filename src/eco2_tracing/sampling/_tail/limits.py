"""The settings and limits of the tail sampler: reasons to keep a local trace, rates, probabilities and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from eco2_tracing._readable_span import SMALL, is_small, pruned_span, span_size
from eco2_tracing.sampling._head.samplers import UNKNOWN
from eco2_tracing.sampling._tail.local_trace import ERROR, HEAD, SLOW, is_failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eco2_tracing.sampling._head.samplers import HeadSampler
    from eco2_tracing.sampling._tail.local_trace import LocalSpan, LocalTrace


_NEVER = float("inf")
_NS_PER_MS = 1_000_000
_SPAN_SHARE = 8
_PRUNED_SHARE = 8


class TailLimits(NamedTuple):
    """The limits of buffering and keeping in one process.

    ``kept_per_second`` local traces are kept, with a burst of one second. ``traces``, ``spans`` and
    ``spans_per_trace`` limit what is buffered; ``bytes`` the large spans among it, which are pruned. After ``age_s``
    seconds, spans are evicted.
    """

    kept_per_second: int = 200
    traces: int = 2_000
    spans: int = 20_000
    bytes: int = 4 * 1024 * 1024
    spans_per_trace: int = 512
    age_s: float = 300.0


class TailRules(NamedTuple):
    """The reasons to keep a local trace.

    ``error_rate`` is the share of failing local traces, 0 to 1. ``slow_ms`` are the milliseconds from which a local
    root is slow, ``None`` for never; those by ``http.route`` override it.
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
        """Return the nanoseconds from which a local root with this ``http.route``, or ``None``, is slow."""
        ms = self.slow_ms_by_route.get(route) if isinstance(route, str) else None
        if ms is None:
            ms = self.slow_ms
        return _NEVER if ms is None else ms * _NS_PER_MS


class TokenBucket:
    """Limits events to a rate a second, with a burst of one second. Not thread-safe."""

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


def sampling_probability(
    head: HeadSampler, error_rate: float, bucket: TokenBucket, local: LocalTrace, reason: str
) -> float:
    """Return the probability, 0 to 1, with which a local trace is kept for a reason; negative if unknown.

    Failed local traces are one stratum, slow ones another, all others a third. Every exported local trace of a
    stratum has the stratum's probability, whether the head or the tail sampler chose it. So the sum of 1/probability
    over exported local traces estimates the number of all of them. While the rate limit refuses, probabilities are
    unknown. That of ``upstream`` depends on limits and rates of other services.
    """
    if reason not in (ERROR, SLOW) or bucket.lately_refused():
        return UNKNOWN
    if reason == SLOW or error_rate >= 1.0:
        return 1.0
    if not local.decided_here:
        return UNKNOWN  # the caller decided, with a rate of its own
    of_head = local.probability if local.state == HEAD else head.probability(local.name)
    # Both rates compare the same bits of the trace id: the larger share contains the smaller one.
    return UNKNOWN if of_head is None or of_head < 0 else max(error_rate, of_head)


class MemoryLimiter:
    """Counts the bytes of large buffered spans, and prunes a span that exceeds what is left. Not thread-safe.

    One span gets at most an eighth of the room. Spans of a few KiB are limited by number.
    """

    __slots__ = ("_left", "_room")

    def __init__(self, room: int) -> None:
        self._room = room
        self._left = room

    def put(self, local: LocalTrace, span: LocalSpan) -> LocalSpan:
        """Count an ended span that is about to be buffered; return it, or a copy pruned to the bytes left."""
        readable: Any = span  # a `ReadableSpan` as well
        if is_small(readable):
            return span
        size = span_size(readable)
        if size <= SMALL:
            return span
        kept = min(size, self._left, self._room // _SPAN_SHARE)
        if kept > SMALL:
            self._left -= kept
            local.heavy += kept
        return span if kept == size else cast("LocalSpan", pruned_span(readable, max(kept, SMALL)))

    def clear(self, local: LocalTrace) -> None:
        """Release the bytes that are counted for a local trace."""
        self._left += local.heavy
        local.heavy = 0


def prune(held: list[LocalSpan], live: Iterable[LocalSpan]) -> list[LocalSpan]:
    """Drop an eighth of the ended spans of one local trace, which are in the order of their ends.

    The oldest are dropped first. An eighth at once avoids the work at every further span. Failed spans stay, and the
    ancestors of failed and of open spans, so that a kept local trace is one tree. If all spans are such, the oldest
    are dropped all the same.
    """
    surplus = max(1, len(held) // _PRUNED_SHARE)
    parents = {span._context.span_id: _parent_id(span) for span in held}
    needed: set[int] = set()
    for span in held:
        if is_failure(span):
            _add_ancestors(span._context.span_id, parents, needed)
    for span in live:
        _add_ancestors(_parent_id(span), parents, needed)
    kept = []
    for span in held:
        if surplus and span._context.span_id not in needed:
            surplus -= 1
        else:
            kept.append(span)
    return kept[surplus:]


def _parent_id(span: LocalSpan) -> int:
    return span._parent.span_id if span._parent is not None else 0


def _add_ancestors(span_id: int, parents: dict[int, int], needed: set[int]) -> None:
    while span_id in parents and span_id not in needed:
        needed.add(span_id)
        span_id = parents[span_id]
