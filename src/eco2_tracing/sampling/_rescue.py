"""Keeps the local traces in which something failed, whatever the head sampler said.

What the head did not choose is recorded in the process alone. When a span of it ends in error, when
the local root was too slow or when a callee says that it kept its part, the whole local trace is
exported; otherwise it is forgotten. Everything is bounded, nothing needs a timer, and no span is
emitted under a lock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from eco2_tracing.sampling._base import NOT_CHOSEN, UNKNOWN
from eco2_tracing.sampling._fixed import LOW_64_BITS
from eco2_tracing.sampling._local_trace import (
    DROPPED,
    HEAD,
    KEPT,
    UNDECIDED,
    LocalTrace,
    is_failure,
    sampled_context,
)
from eco2_tracing.sampling._tracestate import with_probability

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, TraceState

    from eco2_tracing.sampling._build import BuiltSampler

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class RescueLimits:
    """What may be held and kept.

    Attributes:
        kept_per_second: Local traces rescued a second, with a burst of one second.
        traces: Local traces that hold ended spans at one time.
        spans: Ended spans held in all.
        age_s: Seconds after which what a local trace holds is let go.
    """

    kept_per_second: int = 200
    traces: int = 2_000
    spans: int = 20_000
    age_s: float = 60.0


@dataclass(frozen=True, slots=True)
class RescueRules:
    """What makes a local trace worth keeping.

    Attributes:
        error_rate: Share of failing local traces that are kept, 0 to 1.
        slow_ms: Milliseconds from which a local root is slow; ``None`` for never.
        slow_ms_by_route: The same for single routes, by ``http.route``; wins over ``slow_ms``.
    """

    error_rate: float = 1.0
    slow_ms: float | None = None
    slow_ms_by_route: Mapping[str, float] = field(default_factory=dict)

    @property
    def wants_slow(self) -> bool:
        """Whether any slowness counts."""
        return self.slow_ms is not None or bool(self.slow_ms_by_route)


class _TokenBucket:
    """So many a second, with a burst of one second."""

    __slots__ = ("_clock", "_last", "_rate", "_tokens", "refused_at")

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._tokens = float(rate)
        self._clock = clock
        self._last = clock()
        self.refused_at = float("-inf")

    def take(self) -> bool:
        """Take one token; False when there is none."""
        now = self._clock()
        self._tokens = min(self._rate, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return True
        self.refused_at = now
        return False

    def lately_refused(self) -> bool:
        """Whether one was refused within the last second, so that no probability is known."""
        return self._clock() - self.refused_at < 1.0


class Rescuer:
    """Begins local traces, holds their spans, decides and emits.

    Args:
        built: The head sampler.
        rules: What is worth keeping.
        limits: The bounds.
        emit: Gets every span that is exported, once, outside any lock.
        clock: Monotonic seconds.
        wall: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        built: BuiltSampler,
        rules: RescueRules,
        limits: RescueLimits,
        emit: Callable[[Any], None],
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], int] = time_ns,
    ) -> None:
        self._built = built
        self._parent_based = built.parent_based
        self._sample = built.root.sample
        self._rules = rules
        self._limits = limits
        self._emit = emit
        self._clock = clock
        self._wall = wall
        self._slow = rules.wants_slow
        self._error_bound = round(rules.error_rate * (LOW_64_BITS + 1))
        self._rescue_bound = LOW_64_BITS + 1 if self._slow else self._error_bound
        self._bucket = _TokenBucket(limits.kept_per_second, clock)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._holding: dict[LocalTrace, None] = {}
        self._held_spans = 0
        self.kept: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def after_fork(self) -> None:
        """A child process starts empty: what was held belongs to its parent."""
        self._reset()

    # Beginning ---------------------------------------------------------------------------------

    def begin(self, trace_id: int, decided: bool | None, name: str) -> LocalTrace | None:
        """Begin a local trace.

        Args:
            trace_id: The trace's id, inherited or new.
            decided: The caller's decision; ``None`` where the local sampler is to decide.
            name: The root's name as far as it is known.

        Returns:
            The local trace; ``None`` when nothing of it can be kept, so that nothing is recorded.
        """
        if decided is None or not self._parent_based:
            probability = self._sample(trace_id, name)
            if probability != NOT_CHOSEN:
                return LocalTrace(self, HEAD, trace_id, probability, self._wall(), decided_here=True)
        elif decided:
            return LocalTrace(self, HEAD, trace_id, UNKNOWN, self._wall(), decided_here=False)
        if trace_id & LOW_64_BITS < self._rescue_bound:
            return LocalTrace(self, UNDECIDED, trace_id, UNKNOWN, self._wall(), decided_here=False)
        return None

    def begin_custom(
        self,
        trace_id: int,
        name: str,
        context: Context | None,
        kind: SpanKind,
        attributes: Mapping[str, Any] | None,
    ) -> tuple[LocalTrace | None, Any]:
        """The same with a sampler of the application's, which is asked as the SDK asks it.

        Returns:
            The local trace and the sampler's whole answer.
        """
        result = self._built.root.should_sample(context, trace_id, name, kind, attributes)  # type: ignore[arg-type]
        if result.decision.is_sampled():
            return LocalTrace(self, HEAD, trace_id, UNKNOWN, self._wall(), decided_here=True), result
        if trace_id & LOW_64_BITS < self._rescue_bound:
            return LocalTrace(self, UNDECIDED, trace_id, UNKNOWN, self._wall(), decided_here=False), result
        return None, result

    @property
    def needs_attributes(self) -> bool:
        """Whether ``begin_custom`` is the one to call."""
        return self._built.needs_attributes

    # While it runs -----------------------------------------------------------------------------

    def child_ended(self, local: LocalTrace, span: Any) -> None:
        """Hold, emit or forget an ended child span."""
        if local.state == UNDECIDED and is_failure(span):
            self.keep(local, "error")
        elif local.state == HEAD and local.reason is None and is_failure(span):
            local.reason = "error"
        emitted: list[Any] = []
        with self._lock:
            opened = local.open
            if opened:
                opened.pop(span._context.span_id, None)
            if local.state == KEPT:
                emitted.append(self._promoted(local, span))
            elif local.state == HEAD and local.stream:
                # A connection may stay open for hours: its spans do not wait for its end.
                emitted.append(span)
            elif local.state != DROPPED:
                emitted = self._hold(local, span)
                if local.closing and not opened:
                    self._forget(local)
        self._emit_all(emitted)

    def _hold(self, local: LocalTrace, span: Any) -> list[Any]:
        first = local.held is None
        put_out = local.hold(span)
        self._held_spans += 1 - put_out
        if put_out:
            self.dropped["trace_too_large"] += put_out
        if not first:
            return []
        self._holding[local] = None
        return self._evict()

    def _evict(self) -> list[Any]:
        emitted: list[Any] = []
        holding, limits = self._holding, self._limits
        while holding:
            oldest = next(iter(holding))
            if (
                len(holding) <= limits.traces
                and self._held_spans <= limits.spans
                and oldest.age_ns < limits.age_s * 1e9
            ):
                break
            spans = self._release(oldest)
            if oldest.state == HEAD:
                emitted.extend(spans)
            else:
                self.dropped["evicted"] += len(spans)
        return emitted

    def _release(self, local: LocalTrace) -> list[Any]:
        self._holding.pop(local, None)
        spans = local.release()
        self._held_spans -= len(spans)
        return spans

    def keep(self, local: LocalTrace, reason: str) -> bool:
        """Keep a local trace that the head did not choose.

        The cap is charged once, before anything of the trace goes out as sampled.

        Args:
            local: The local trace.
            reason: ``error``, ``slow`` or ``upstream``.

        Returns:
            Whether the local trace is exported.
        """
        with self._lock:
            if local.state == HEAD and local.reason is None:
                local.reason = reason
            if local.state != UNDECIDED:
                return local.state != DROPPED
            if reason == "error" and local.trace_id & LOW_64_BITS >= self._error_bound:
                return False
            spans = self._release(local)
            if not self._bucket.take():
                local.state = DROPPED
                self.dropped["kept_traces_cap"] += 1 + len(spans)
                return False
            local.state = KEPT
            local.reason = reason
            local.probability = self._probability(local)
            local.promote(lambda context: self._trace_state(local, context))
            emitted = [self._promoted(local, span) for span in spans]
            if local.closing:
                emitted.append(self._root(local))
        self._emit_all(emitted)
        return True

    # The end -----------------------------------------------------------------------------------

    def finish(self, local: LocalTrace) -> None:
        """The local root has ended: export, forget, or wait for the spans that are still open."""
        if local.state == UNDECIDED and self._slow and self._is_slow(local):
            self.keep(local, "slow")
        emitted: list[Any] = []
        with self._lock:
            if local.closing:
                return
            local.closing = True
            if local.state == HEAD:
                emitted = self._settle_head(local)
            elif local.state == KEPT:
                emitted.append(self._root(local))
            elif not local.open:
                self._forget(local)
        self._emit_all(emitted)

    def _settle_head(self, local: LocalTrace) -> list[Any]:
        emitted = self._release(local)
        if local.reason == "error":
            local.probability = self._probability(local)
            state_of = self._trace_state
            for span in [*emitted, local.root]:
                span._context = sampled_context(span._context, state_of(local, span._context))
        local.state = KEPT
        emitted.append(self._root(local))
        return emitted

    def _forget(self, local: LocalTrace) -> None:
        if local.state == UNDECIDED:
            local.state = DROPPED
            self._release(local)
            local.root = None

    def _root(self, local: LocalTrace) -> Any:
        root = local.root
        reason = local.reason or "head"
        self.kept[reason] += 1
        attributes = dict(root.attributes)
        attributes["eco2.sampling.reason"] = reason
        if local.probability > 0:
            attributes["eco2.sampling.probability"] = local.probability
        if local.true_root and local.decided_here:
            tags = self._built.root.jaeger_tags(root.name)
            if tags is not None:
                attributes["sampler.type"], attributes["sampler.param"] = tags
        root._attributes = attributes
        return root

    def release_sampled(self) -> None:
        """Emit what sampled local traces hold, for a flush; their roots follow when they end."""
        with self._lock:
            emitted = [
                span for local in list(self._holding) if local.state == HEAD for span in self._release(local)
            ]
        self._emit_all(emitted)

    def _emit_all(self, spans: list[ReadableSpan]) -> None:
        emit = self._emit
        for span in spans:
            emit(span)

    # Probabilities -----------------------------------------------------------------------------

    def _probability(self, local: LocalTrace) -> float:
        """With which probability a local trace kept for its reason is exported at all.

        Every failing local trace carries the error stratum's, those that the head had chosen
        included: the two together are what is kept of the failing ones.
        """
        if local.reason == "upstream" or self._bucket.lately_refused():
            return UNKNOWN
        rate = self._rules.error_rate if local.reason == "error" else 1.0
        if rate >= 1.0:
            return 1.0
        head = local.probability if local.decided_here else self._head_probability(local)
        return UNKNOWN if head < 0 else max(rate, head)

    def _head_probability(self, local: LocalTrace) -> float:
        if not self._parent_based or local.true_root:
            probability = self._built.root.probability(local.root.name if local.root is not None else "")
            return UNKNOWN if probability is None else probability
        return UNKNOWN

    def _trace_state(self, local: LocalTrace, context: SpanContext) -> TraceState | None:
        return with_probability(context.trace_state, local.probability, local.trace_id)

    def _promoted(self, local: LocalTrace, span: Any) -> Any:
        context = span._context
        if not context.trace_flags.sampled:
            span._context = sampled_context(context, self._trace_state(local, context))
        return span

    def _is_slow(self, local: LocalTrace) -> bool:
        root = local.root
        if local.stream or root is None:
            return False
        threshold = self._rules.slow_ms
        if self._rules.slow_ms_by_route:
            threshold = self._rules.slow_ms_by_route.get(root.attributes.get("http.route"), threshold)
        return (
            threshold is not None
            and (root.end_time or local.now()) - root.start_time >= threshold * _NS_PER_MS
        )
