"""The tail sampler: it begins local traces, sampled by the head or recorded in case something fails.

A local trace that the head does not sample is recorded and buffered in the process. It is exported if one of its
spans ends with an error, if its root is slow, or if a called service reports that it kept its part. Otherwise it is
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic, time_ns
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.context import get_current
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, SpanKind, get_current_span

from eco2_tracing._guard import internal_failure
from eco2_tracing.sampling._head.samplers import LOW_64_BITS, NOT_CHOSEN, UNKNOWN, bound
from eco2_tracing.sampling._head.tracestate import with_probability
from eco2_tracing.sampling._tail.buffer import TraceBuffer
from eco2_tracing.sampling._tail.local_trace import HEAD, UNDECIDED, LocalTrace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, TraceState
    from opentelemetry.util.types import Attributes, AttributeValue

    from eco2_tracing.sampling._head.samplers import BuiltSampler
    from eco2_tracing.sampling._tail.limits import TailLimits, TailRules
    from eco2_tracing.sampling._tail.local_trace import Emit

    Start = tuple[LocalTrace | None, bool, TraceState | None, Attributes, bool, SpanContext | None]


class TailSampler:
    """Begins local traces.

    ``begin_custom`` must be called instead of ``begin`` if it ``needs_attributes``. Local traces are kept for errors
    if the low 64 bits of their trace id are below ``kept_below``. ``follows`` is true if a caller's "not sampled" is
    followed and no root has to be timed: ``begin`` would then return an undecided local trace if ``may_keep`` is
    true, and ``None`` otherwise. ``emit`` is called outside any lock.
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

    def after_fork(self) -> None:
        """In a child process: start with an empty buffer; local traces from before the fork belong to the parent."""
        self.buffer.close()
        self.buffer = self._make_buffer()

    def may_keep(self, trace_id: int) -> bool:
        """Return True if a local trace that the head does not sample may be kept later."""
        return trace_id & LOW_64_BITS < self.kept_below

    def begin(self, trace_id: int, decided: bool | None, name: str) -> LocalTrace | None:
        """Begin a local trace; return ``None`` if it can never be exported, so that nothing is recorded.

        ``decided`` is the caller's decision; ``None`` if the local head sampler decides. ``name`` is the root's name
        as far as it is known.
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
        """Begin a local trace by an installed sampler, which is called as the SDK calls it; return its result, too."""
        result = self._should_sample(context, trace_id, name, kind, attributes)
        state = HEAD if result.decision is Decision.RECORD_AND_SAMPLE else UNDECIDED
        if state == UNDECIDED and not self.may_keep(trace_id):
            return None, result
        return LocalTrace(self.buffer, state, trace_id, name, UNKNOWN, self._wall(), True), result


class CallerDecision(NamedTuple):
    """The caller's sampling decision, beside the flags of its context.

    It is deferred to us, denied (a bare deny, or an excluded path: nothing may be recorded), or accepted (a bare
    accept or debug: a new trace is sampled).
    """

    deferred: bool
    denied: bool
    accepted: bool = False


class ProviderSampler(Sampler):
    """Decides about spans, and is the provider's public ``sampler``.

    ``decision_of`` returns the caller's decision that propagation stored in a context.
    """

    def __init__(
        self, tail_sampler: TailSampler, decision_of: Callable[[Context], CallerDecision], description: str
    ) -> None:
        self._tail_sampler = tail_sampler
        self._decision_of = decision_of
        self._description = description

    def decide(
        self,
        parent: Span,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue],
    ) -> Start:
        """Follow the parent's local trace, or begin a new one. Never raises.

        Return the local trace, ``None`` if it can never be exported; True if the span is sampled at its start; its
        tracestate; the attributes that a sampler returned in place of the given ones, or ``None``; True if the span
        is the local root; for an excluded request the upstream context, which the span uses as its own.
        """
        context = parent.get_span_context()
        local: LocalTrace | None = getattr(parent, "local_trace", None)
        try:
            if local is not None and local.buffer is self._tail_sampler.buffer:
                return _followed(local, context)
            # A local trace of another buffer began before a fork: its spans count as a caller's.
            if (
                local is None
                and not context.is_remote
                and context.is_valid
                and not context.trace_flags.sampled
            ):
                # A span of this library that is not recorded: the decision about its local root holds.
                return None, False, context.trace_state, None, False, None
            return self._begun(parent_context, context, trace_id, name, kind, attributes)
        except Exception:  # noqa: BLE001 - a sampler of another package may raise anything
            internal_failure("deciding about a span")
            return None, False, None, None, False, None

    def _begun(
        self,
        parent_context: Context | None,
        caller: SpanContext,
        trace_id: int,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, AttributeValue],
    ) -> Start:
        inherited = caller.trace_state if caller.is_valid else None
        decided: bool | None = bool(caller.trace_flags.sampled) if caller.is_valid else None
        upstream = self._decision_of(get_current() if parent_context is None else parent_context)
        if upstream.denied:
            # An excluded request has no ids of its own: its calls and log lines have the caller's.
            return None, False, inherited, None, False, caller if caller.is_remote else None
        if upstream.deferred:
            decided = None
        elif upstream.accepted and not caller.is_valid:
            decided = True
        added: Attributes = None
        if self._tail_sampler.needs_attributes:
            local, result = self._tail_sampler.begin_custom(trace_id, name, parent_context, kind, attributes)
            if result.decision is not Decision.DROP:
                added = result.attributes or {}
            inherited = result.trace_state
        else:
            local = self._tail_sampler.begin(trace_id, decided, name)
        if local is None:
            return None, False, inherited, None, False, None
        local.true_root = not caller.is_valid
        sampled = local.sampled
        if sampled and local.decided_here:
            inherited = with_probability(inherited, local.probability, trace_id)
        return local, sampled, inherited, added, True, None

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide as an SDK sampler, for callers other than our tracers."""
        local, sampled, state, added, _, _ = self.decide(
            get_current_span(parent_context),
            parent_context,
            trace_id,
            name,
            kind or SpanKind.INTERNAL,
            attributes or {},
        )
        decision = Decision.DROP
        if local is not None:
            decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.RECORD_ONLY
        return SamplingResult(decision, attributes if added is None else added, state)

    def get_description(self) -> str:
        """Return the sampler in words."""
        return self._description


def _followed(local: LocalTrace, parent: SpanContext) -> Start:
    state: TraceState | None = parent.trace_state
    if not local.recording:
        return None, False, state, None, False, None
    sampled = local.sampled
    if sampled and not parent.trace_flags.sampled:
        # The parent ended before the local trace was kept.
        state = with_probability(state, local.probability, local.trace_id)
    return local, sampled, state, None, False, None
