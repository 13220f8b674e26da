"""The sampling decision for a span that a tracer starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.context import get_current
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, SpanKind, get_current_span

from eco2_tracing._guard import internal_failure
from eco2_tracing.sampling._head.tracestate import with_probability

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, TraceState
    from opentelemetry.util.types import Attributes, AttributeValue

    from eco2_tracing.sampling._tail.local_trace import LocalTrace
    from eco2_tracing.sampling._tail.sampler import TailSampler

    Start = tuple[LocalTrace | None, bool, TraceState | None, Attributes, bool, SpanContext | None]


class CallerDecision(NamedTuple):
    """The caller's sampling decision, beside the flags of its context.

    Attributes:
        deferred: The caller left the decision to us.
        denied: Nothing may be recorded: a bare deny, or an excluded path.
        accepted: The caller wants a new trace that is sampled: a bare accept or debug.
    """

    deferred: bool
    denied: bool
    accepted: bool = False


class ProviderSampler(Sampler):
    """Decides about spans, and is the provider's public ``sampler``.

    Args:
        tail_sampler: Begins local traces.
        decision_of: Returns the caller's decision that propagation stored in a context.
        description: The sampler in words.
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

        Args:
            parent: The span of ``parent_context``.
            parent_context: The context in which the span starts; ``None`` for the current one.
            trace_id: The parent's trace id, or a new one.
            name: The span's name.
            kind: The span's kind.
            attributes: The span's attributes at its start.

        Returns:
            The local trace, ``None`` if it can never be exported; True if the span is sampled at its start; its
            tracestate; the attributes that a sampler returned in place of the given ones, or ``None``; True if the
            span is the local root; for an excluded request the upstream context, which the span uses as its own.
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
