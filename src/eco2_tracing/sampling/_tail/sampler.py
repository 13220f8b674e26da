"""Begins local traces: chosen at the head, or recorded in the process in case something fails.

What the head did not choose is recorded in the process alone. When a span of it ends in error, when
the local root was too slow or when a callee says that it kept its part, the whole local trace is
exported; otherwise it is forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.sampling import Decision

from eco2_tracing.sampling._head.base import NOT_CHOSEN, UNKNOWN
from eco2_tracing.sampling._head.fixed import LOW_64_BITS, bound
from eco2_tracing.sampling._tail.buffer import TraceBuffer
from eco2_tracing.sampling._tail.local_trace import HEAD, UNDECIDED, LocalTrace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import SamplingResult
    from opentelemetry.trace import SpanKind

    from eco2_tracing.sampling._build import BuiltSampler
    from eco2_tracing.sampling._tail.rules import TailLimits, TailRules


class TailSampler:
    """Begins local traces.

    Args:
        built: The head sampler.
        rules: What is worth keeping.
        limits: The bounds.
        emit: Gets every span that is exported, once, outside any lock.
        clock: Monotonic seconds.
        wall: Nanoseconds since the epoch.

    Attributes:
        buffer: What holds and decides in this process.
        needs_attributes: Whether ``begin_custom`` is the one to call.
        kept_below: Trace ids with low 64 bits below this are kept when something happens.
        follows: Whether a caller's "not sampled" settles what ``begin`` would say: nothing is chosen, and
            what may be kept begins undecided, by ``may_keep`` alone. Slowness has to be looked at.
    """

    def __init__(
        self,
        built: BuiltSampler,
        rules: TailRules,
        limits: TailLimits,
        emit: Callable[[Any], None],
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], int] = time_ns,
    ) -> None:
        self._parent_based = built.parent_based
        self._sample = built.root.sample
        self._ask = built.root.should_sample
        self.needs_attributes = built.needs_attributes
        self.follows = built.parent_based and not built.needs_attributes and not rules.wants_slow
        self._wall = wall
        self.kept_below = LOW_64_BITS + 1 if rules.wants_slow else bound(rules.error_rate)
        self._make_buffer = partial(TraceBuffer, built, rules, limits, emit, clock)
        self.buffer = self._make_buffer()

    @property
    def kept(self) -> Counter[str]:
        """Local traces that were exported, by reason."""
        return self.buffer.kept

    @property
    def dropped(self) -> Counter[str]:
        """Spans that were lost, by reason."""
        return self.buffer.dropped

    def release_sampled(self) -> None:
        """Emit what sampled local traces hold, for a flush."""
        self.buffer.release_sampled()

    def after_fork(self) -> None:
        """A child process starts empty: what was begun belongs to its parent."""
        self.buffer.close()
        self.buffer = self._make_buffer()

    def may_keep(self, trace_id: int) -> bool:
        """Whether a trace that the head did not choose is kept when something happens."""
        return trace_id & LOW_64_BITS < self.kept_below

    def begin(self, trace_id: int, decided: bool | None, name: str) -> LocalTrace | None:
        """Begin a local trace.

        Args:
            trace_id: The trace's id, inherited or new.
            decided: The caller's decision; ``None`` where the local sampler is to decide.
            name: The root's name as far as it is known.

        Returns:
            The local trace; ``None`` when nothing of it can be kept, so that nothing is recorded.
        """
        decided_here = False
        if decided is None or not self._parent_based:
            decided_here = True
            probability = self._sample(trace_id, name)
            if probability != NOT_CHOSEN:
                return LocalTrace(self.buffer, HEAD, trace_id, name, probability, self._wall(), decided_here)
        elif decided:
            return LocalTrace(self.buffer, HEAD, trace_id, name, UNKNOWN, self._wall(), decided_here)
        if self.may_keep(trace_id):
            return LocalTrace(self.buffer, UNDECIDED, trace_id, name, UNKNOWN, self._wall(), decided_here)
        return None

    def begin_custom(
        self,
        trace_id: int,
        name: str,
        context: Context | None,
        kind: SpanKind | None,
        attributes: Mapping[str, Any] | None,
    ) -> tuple[LocalTrace | None, SamplingResult]:
        """The same with a sampler of the application's, which is asked as the SDK asks it.

        Returns:
            The local trace and the sampler's whole answer.
        """
        answer = self._ask(context, trace_id, name, kind, attributes)
        state = HEAD if answer.decision is Decision.RECORD_AND_SAMPLE else UNDECIDED
        if state == UNDECIDED and not self.may_keep(trace_id):
            return None, answer
        return LocalTrace(self.buffer, state, trace_id, name, UNKNOWN, self._wall(), True), answer
