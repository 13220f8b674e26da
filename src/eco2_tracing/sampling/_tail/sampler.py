"""The tail sampler: it begins local traces, sampled by the head or recorded in case something fails.

A local trace that the head does not sample is recorded and buffered in the process. It is exported if one of its
spans ends with an error, if its root is slow, or if a called service reports that it kept its part. Otherwise it is
dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from time import monotonic, time_ns
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.sampling import Decision

from eco2_tracing.sampling._head.base import NOT_CHOSEN, UNKNOWN
from eco2_tracing.sampling._head.fixed import LOW_64_BITS, bound
from eco2_tracing.sampling._tail.buffer import TraceBuffer
from eco2_tracing.sampling._tail.local_trace import HEAD, UNDECIDED, LocalTrace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.sampling import SamplingResult
    from opentelemetry.trace import SpanKind
    from opentelemetry.util.types import Attributes

    from eco2_tracing.sampling._head.base import BuiltSampler
    from eco2_tracing.sampling._tail.local_trace import Emit
    from eco2_tracing.sampling._tail.rules import TailLimits, TailRules


class TailSampler:
    """Begins local traces.

    Args:
        built: The head sampler.
        rules: The reasons to keep a local trace.
        limits: The limits.
        emit: Exports one span; called once for each exported span, outside any lock.
        clock: Monotonic seconds.
        wall: Nanoseconds since the epoch.

    Attributes:
        buffer: Buffers local traces and decides about them.
        needs_attributes: True if `begin_custom` must be called instead of `begin`.
        kept_below: Local traces are kept for errors if the low 64 bits of their trace id are below this.
        follows: True if a caller's "not sampled" is followed and no root has to be timed. Then `begin` would return
            an undecided local trace if `may_keep` is true, and ``None`` otherwise.
    """

    def __init__(
        self,
        built: BuiltSampler,
        rules: TailRules,
        limits: TailLimits,
        emit: Emit,
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], int] = time_ns,
    ) -> None:
        self._parent_based = built.parent_based
        self._sample = built.root.sample
        self._should_sample = built.root.should_sample
        self.needs_attributes = built.needs_attributes
        self.follows = built.parent_based and not built.needs_attributes and not rules.wants_slow
        self._wall = wall
        self.kept_below = LOW_64_BITS + 1 if rules.wants_slow else bound(rules.error_rate)
        self._make_buffer = partial(TraceBuffer, built.root, rules, limits, emit, clock)
        self.buffer = self._make_buffer()

    @property
    def kept(self) -> Counter[str]:
        """The number of exported local traces, by reason."""
        return self.buffer.kept

    @property
    def dropped(self) -> Counter[str]:
        """The number of lost spans, by reason."""
        return self.buffer.dropped

    def release_sampled(self) -> None:
        """Emit the buffered spans of sampled local traces, for a flush."""
        self.buffer.release_sampled()

    def after_fork(self) -> None:
        """In a child process: start with an empty buffer; local traces from before the fork belong to the parent."""
        self.buffer.close()
        self.buffer = self._make_buffer()

    def may_keep(self, trace_id: int) -> bool:
        """Return True if a local trace that the head does not sample may be kept later."""
        return trace_id & LOW_64_BITS < self.kept_below

    def begin(self, trace_id: int, decided: bool | None, name: str) -> LocalTrace | None:
        """Begin a local trace.

        Args:
            trace_id: The trace's id, inherited or new.
            decided: The caller's decision; ``None`` if the local head sampler decides.
            name: The root's name as far as it is known.

        Returns:
            The local trace; ``None`` if it can never be exported, so that nothing is recorded.
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
        attributes: Attributes,
    ) -> tuple[LocalTrace | None, SamplingResult]:
        """Begin a local trace by an installed sampler, which is called as the SDK calls it.

        Returns:
            The local trace, or ``None`` as in `begin`, and the sampler's result.
        """
        result = self._should_sample(context, trace_id, name, kind, attributes)
        state = HEAD if result.decision is Decision.RECORD_AND_SAMPLE else UNDECIDED
        if state == UNDECIDED and not self.may_keep(trace_id):
            return None, result
        return LocalTrace(self.buffer, state, trace_id, name, UNKNOWN, self._wall(), True), result
