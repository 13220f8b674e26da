"""The buffer of undecided local traces: it decides which are exported.

Limits replace timers, and no span is emitted under the lock. The lock is re-entrant: a signal handler may flush, and
the garbage collector may end the span of an abandoned generator, at any point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from opentelemetry.trace import StatusCode

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._native import RLock
from eco2_tracing.sampling._head.samplers import LOW_64_BITS, bound
from eco2_tracing.sampling._tail.limits import (
    MemoryLimiter,
    TailLimits,
    TailRules,
    TokenBucket,
    prune,
    sampling_probability,
)
from eco2_tracing.sampling._tail.local_trace import (
    DROPPED,
    ERROR,
    HEAD,
    KEPT,
    SLOW,
    UNDECIDED,
    UPSTREAM,
    KeptTraceExporter,
    LocalTrace,
    is_failure,
)

if TYPE_CHECKING:
    from eco2_tracing.sampling._head.samplers import HeadSampler
    from eco2_tracing.sampling._tail.local_trace import Emit, LocalSpan

_FAILED = StatusCode.ERROR


class TraceBuffer:
    """The buffered local traces of one process.

    ``emit`` is called once for each exported span, outside the lock. ``kept`` counts exported local traces and
    ``dropped`` lost spans, by reason. ``slow`` is true if slow local roots are kept.
    """

    def __init__(
        self,
        head: HeadSampler,
        rules: TailRules,
        limits: TailLimits,
        emit: Emit,
        clock: Callable[[], float],
    ) -> None:
        self._rules = rules
        self._limits = limits
        self._clock = clock
        self.slow = rules.wants_slow
        self._floor_ns = rules.floor_ns
        self._error_bound = bound(rules.error_rate)
        self._bucket = TokenBucket(limits.kept_per_second, clock)
        self._probability = partial(sampling_probability, head, rules.error_rate, self._bucket)
        self._exporter = KeptTraceExporter(head, emit)
        self._lock = RLock()
        self._holding: dict[LocalTrace, None] = {}
        self._held_spans = 0
        self._memory = MemoryLimiter(limits.bytes)
        self.kept = self._exporter.kept
        self.promote = self._exporter.promote
        self.dropped: Counter[str] = Counter()

    def close(self) -> None:
        """Emit nothing more: in a child process local traces from before the fork belong to the parent."""
        self._lock = RLock()  # another thread may have held it at the fork
        self._exporter.close()

    # Ended children ------------------------------------------------------------------------------

    def child_ended(self, local: LocalTrace, span: LocalSpan) -> None:
        """Buffer, emit or drop an ended child span."""
        if not mark[0]:
            notice_fork()
        if span.status.status_code is _FAILED and is_failure(span):
            self.keep(local, ERROR)
        emitted: Iterable[LocalSpan] = ()
        with self._lock:
            opened = local.open
            if opened:
                opened.pop(span, None)
            state = local.state
            if state == UNDECIDED:
                if local.closing and not opened:
                    self._forget(local)
                else:
                    emitted = self._hold(local, span)
            elif state == HEAD and not local.stream:
                emitted = self._hold(local, span)
            elif state != DROPPED:
                # Kept; or sampled by the head and a connection that may stay open for hours.
                emitted = (span,)
        if emitted:
            self._exporter.send(local, emitted)

    def _hold(self, local: LocalTrace, span: LocalSpan) -> list[LocalSpan]:
        """Buffer a span; return the spans to emit because a limit is exceeded."""
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
                return self._release(local)  # sampled: everything is emitted, in portions
            self._prune(local, held)
        if held is None or self._held_spans > limits.spans:
            return self._evict()
        return []

    def _prune(self, local: LocalTrace, held: list[LocalSpan]) -> None:
        left = prune(held, local.open_spans())
        self._memory.clear(local)
        local.held = [self._memory.put(local, span) for span in left]
        lost = len(held) - len(left)
        self._held_spans -= lost
        self.dropped["trace_too_large"] += lost

    def _evict(self) -> list[LocalSpan]:
        """Drop the oldest local traces beyond the limits; return the spans of sampled ones, which are emitted."""
        emitted: list[LocalSpan] = []
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

    def _release(self, local: LocalTrace) -> list[LocalSpan]:
        """Remove and return the buffered spans of a local trace."""
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
        """Keep a local trace that the head did not sample; return True if it is exported.

        One token of the rate limit is taken, before any of its spans becomes sampled.
        """
        if local.state != UNDECIDED:
            self._change_stratum(local, reason)
            return local.state != DROPPED
        if reason == ERROR and (local.peer_ended or local.trace_id & LOW_64_BITS >= self._error_bound):
            return False
        probability = self._probability(local, reason)
        with self._lock:
            if local.state != UNDECIDED:
                return local.state != DROPPED  # another thread decided first
            spans, live = self._release(local), local.open_spans()
            if not self._bucket.take():
                local.state = DROPPED
                self.dropped["kept_traces_cap"] += 1 + len(spans) + len(live)
                return False
            local.state = KEPT
            local.reason = reason
            local.probability = probability
            closing = local.closing
            self.promote(local, (*live, local.root))
        if closing:
            self._exporter.export_root(local, spans, by_head=False)
        else:
            self._exporter.send(local, spans)
        return True

    def _change_stratum(self, local: LocalTrace, reason: str) -> None:
        """Set reason and probability of a local trace that is exported already."""
        if local.closing or reason == UPSTREAM:
            return
        if local.state == HEAD:
            if local.reason is not None:
                return
        elif local.reason != UPSTREAM or local.trace_id & LOW_64_BITS >= self._error_bound:
            return
        local.probability = self._probability(local, reason)
        local.reason = reason

    # The end -------------------------------------------------------------------------------------

    def finish(self, local: LocalTrace) -> None:
        """Decide about a local trace whose root has ended; an undecided one waits for its open spans."""
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
        self._exporter.export_root(local, spans, by_head=state == HEAD)

    def discard(self, local: LocalTrace) -> None:
        """Export nothing more of a local trace: its request is an excluded one."""
        with self._lock:
            self._forget(local)

    def _is_slow(self, local: LocalTrace) -> bool:
        root = local.root
        if local.stream or root is None:
            return False
        took = (root.end_time or local.now()) - root.start_time
        # Attributes are derived only if the threshold depends on the route.
        if took < self._floor_ns:
            return False
        route = root.attributes.get("http.route") if self._rules.slow_ms_by_route else None
        return bool(took >= self._rules.threshold_ns(route))

    def _judge_slow(self, local: LocalTrace) -> None:
        if local.state == UNDECIDED:
            self.keep(local, SLOW)
        elif local.state != DROPPED:
            # All slow ones are kept, whatever the share of failing ones is.
            local.probability = self._probability(local, SLOW)
            if local.reason is None or local.reason == UPSTREAM:
                local.reason = SLOW

    def release_sampled(self) -> None:
        """Emit the buffered spans of sampled local traces, for a flush; their roots follow when they end."""
        with self._lock:
            sampled = [local for local in list(self._holding) if local.state == HEAD]
            released = [(local, self._release(local)) for local in sampled]
        for local, spans in released:
            self._exporter.send(local, spans)
