"""Holds the local traces that nothing was decided about, decides about them and emits.

Everything is bounded, nothing needs a timer, and no span is emitted under the lock. The lock is a
re-entrant one: a signal's handler may flush, and the garbage collector may end an abandoned
generator's span, in the middle of anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import StatusCode

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._native import RLock
from eco2_tracing.sampling._head.fixed import LOW_64_BITS, bound
from eco2_tracing.sampling._tail.exporter import KeptTraceExporter
from eco2_tracing.sampling._tail.local_trace import (
    DROPPED,
    ERROR,
    HEAD,
    KEPT,
    SLOW,
    UNDECIDED,
    UPSTREAM,
    LocalTrace,
    is_failure,
)
from eco2_tracing.sampling._tail.memory import MemoryLimiter
from eco2_tracing.sampling._tail.probability import SamplingProbability
from eco2_tracing.sampling._tail.pruning import cut
from eco2_tracing.sampling._tail.rules import TailLimits, TailRules, TokenBucket

if TYPE_CHECKING:
    from eco2_tracing.sampling._build import BuiltSampler

_FAILED = StatusCode.ERROR


class TraceBuffer:
    """What one process holds.

    Args:
        built: The head sampler.
        rules: What is worth keeping.
        limits: The bounds.
        emit: Gets every span that is exported, once, outside the lock.
        clock: Monotonic seconds.

    Attributes:
        kept: Local traces that were exported, by reason.
        dropped: Spans that were lost, by reason.
        slow: Whether slowness counts.
    """

    def __init__(
        self,
        built: BuiltSampler,
        rules: TailRules,
        limits: TailLimits,
        emit: Callable[[Any], None],
        clock: Callable[[], float],
    ) -> None:
        self._rules = rules
        self._limits = limits
        self._clock = clock
        self.slow = rules.wants_slow
        self._floor_ns = rules.floor_ns
        self._error_bound = bound(rules.error_rate)
        self._bucket = TokenBucket(limits.kept_per_second, clock)
        self._probability = SamplingProbability(built.root, rules, self._bucket)
        self._exporter = KeptTraceExporter(built.root, emit)
        self._lock = RLock()
        self._holding: dict[LocalTrace, None] = {}
        self._held_spans = 0
        self._memory = MemoryLimiter(limits.bytes)
        self.kept = self._exporter.kept
        self.dropped: Counter[str] = Counter()

    @property
    def holds(self) -> tuple[int, int]:
        """How many local traces hold something, and how many spans they hold in all."""
        return len(self._holding), self._held_spans

    def close(self) -> None:
        """In a child process: what was begun before the fork is the parent's to export."""
        self._lock = RLock()  # another thread may have held it
        self._exporter.close()

    # Ended children ------------------------------------------------------------------------------

    def child_ended(self, local: LocalTrace, span: Any) -> None:
        """Hold, emit or forget an ended child span."""
        if not mark[0]:
            notice_fork()
        if span._status.status_code is _FAILED and is_failure(span):
            self.keep(local, ERROR)
        emitted: Iterable[Any] = ()
        with self._lock:
            opened = local.open
            if opened:
                opened.pop(span._context.span_id, None)
            state = local.state
            if state == UNDECIDED:
                if local.closing and not opened:
                    self._forget(local)
                else:
                    emitted = self._hold(local, span)
            elif state == HEAD and not local.stream:
                emitted = self._hold(local, span)
            elif state != DROPPED:
                # Kept; or chosen and a connection that may stay open for hours.
                emitted = (span,)
        if emitted:
            self._exporter.send(local, emitted)

    def _hold(self, local: LocalTrace, span: Any) -> list[Any]:
        """Put a span aside; returns what goes out to make room for it."""
        held = local.held
        span = self._memory.put(local, span)
        if held is None:
            local.held = [span]
            local.held_since = self._clock()
        else:
            held.append(span)
        self._held_spans += 1
        holding, limits = self._holding, self._limits
        if held is None:
            holding[local] = None
        elif len(held) > limits.spans_per_trace:
            if local.state == HEAD:
                return self._release(local)  # chosen: all of it goes out, in portions
            self._cut(local, held)
        if held is None or self._held_spans > limits.spans:
            return self._evict()
        return []

    def _cut(self, local: LocalTrace, held: list[Any]) -> None:
        opened = local.open
        left = cut(held, list(opened.copy().values()) if opened else ())
        self._memory.clear(local)
        local.held = [self._memory.put(local, span) for span in left]
        lost = len(held) - len(left)
        self._held_spans -= lost
        self.dropped["trace_too_large"] += lost

    def _evict(self) -> list[Any]:
        emitted: list[Any] = []
        holding, limits = self._holding, self._limits
        oldest_allowed = self._clock() - limits.age_s
        while holding:
            oldest = next(iter(holding))
            if (
                len(holding) <= limits.traces
                and self._held_spans <= limits.spans
                and oldest.held_since > oldest_allowed
            ):
                break
            spans = self._release(oldest)
            if oldest.state == HEAD:
                emitted.extend(spans)
            else:
                self.dropped["evicted"] += len(spans)
        return emitted

    def _release(self, local: LocalTrace) -> list[Any]:
        """Take out what a local trace holds."""
        held, local.held = local.held, None
        if held is None:
            return []
        self._holding.pop(local, None)
        self._held_spans -= len(held)
        self._memory.clear(local)
        return held

    def _forget(self, local: LocalTrace) -> None:
        local.state = DROPPED
        local.root = None
        self._release(local)

    # Keeping -------------------------------------------------------------------------------------

    def keep(self, local: LocalTrace, reason: str) -> bool:
        """Keep a local trace that the head did not choose.

        The cap is charged once, before anything of the trace goes out as sampled.

        Args:
            local: The local trace.
            reason: ``error``, ``slow`` or ``upstream``.

        Returns:
            Whether the local trace is exported.
        """
        if local.state != UNDECIDED:
            self._belongs(local, reason)
            return local.state != DROPPED
        if reason == ERROR and (local.peer_ended or local.trace_id & LOW_64_BITS >= self._error_bound):
            return False
        probability = self._probability.probability(local, reason)
        with self._lock:
            if local.state != UNDECIDED:
                return local.state != DROPPED  # another thread was faster
            spans = self._release(local)
            opened = local.open
            live = list(opened.copy().values()) if opened else []
            if not self._bucket.take():
                local.state = DROPPED
                self.dropped["kept_traces_cap"] += 1 + len(spans) + len(live)
                return False
            local.state = KEPT
            local.reason = reason
            local.probability = probability
            closing = local.closing
            self._exporter.promote(local, [*live, local.root])
        if closing:
            self._exporter.settle(local, spans, chosen=False)
        else:
            self._exporter.send(local, spans)
        return True

    def _belongs(self, local: LocalTrace, reason: str) -> None:
        """Put a local trace that is exported anyway into the stratum that it belongs to."""
        if local.closing or reason == UPSTREAM:
            return
        if local.state == HEAD:
            if local.reason is not None:
                return
        elif local.reason != UPSTREAM or local.trace_id & LOW_64_BITS >= self._error_bound:
            return
        local.probability = self._probability.probability(local, reason)
        local.reason = reason

    def promote(self, local: LocalTrace, spans: Iterable[Any]) -> None:
        """Mark live spans of a kept local trace as sampled, so that what they call is told."""
        self._exporter.promote(local, spans)

    # The end -------------------------------------------------------------------------------------

    def finish(self, local: LocalTrace) -> None:
        """The local root has ended: export, forget, or wait for the spans that are still open."""
        if not mark[0]:
            notice_fork()
        if self.slow and not local.closing and self._is_slow(local):
            self._judge_slow(local)
        with self._lock:
            if local.closing:
                return
            local.closing = True
            state = local.state
            if state == UNDECIDED:
                if not local.open:
                    self._forget(local)
                return
            if state == DROPPED:
                local.root = None
                return
            spans = self._release(local) if local.held else ()
            local.state = KEPT
        self._exporter.settle(local, spans, chosen=state == HEAD)

    def discard(self, local: LocalTrace) -> None:
        """Export nothing more of a local trace: its request turned out to be an excluded one."""
        with self._lock:
            self._forget(local)

    def _is_slow(self, local: LocalTrace) -> bool:
        root = local.root
        if local.stream or root is None:
            return False
        took = (root.end_time or local.now()) - root.start_time
        # Attributes are collected only where the answer depends on the route.
        if took < self._floor_ns:
            return False
        route = root.attributes.get("http.route") if self._rules.slow_ms_by_route else None
        return bool(took >= self._rules.threshold_ns(route))

    def _judge_slow(self, local: LocalTrace) -> None:
        if local.state == UNDECIDED:
            self.keep(local, SLOW)
        elif local.state != DROPPED:
            # All slow ones are kept, whatever share of the failing ones is.
            local.probability = self._probability.probability(local, SLOW)
            if local.reason is None or local.reason == UPSTREAM:
                local.reason = SLOW

    def release_sampled(self) -> None:
        """Emit what sampled local traces hold, for a flush; their roots follow when they end."""
        with self._lock:
            chosen = [local for local in list(self._holding) if local.state == HEAD]
            released = [(local, self._release(local)) for local in chosen]
        for local, spans in released:
            self._exporter.send(local, spans)
