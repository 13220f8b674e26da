"""The sampling decision for a span that a tracer starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.context import get_current
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanContext, SpanKind, get_current_span

from eco2_tracing._guard import internal_failure
from eco2_tracing.sampling._head.tracestate import with_probability

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, TraceState
    from opentelemetry.util.types import Attributes

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
        attributes: Mapping[str, Any],
    ) -> Start:
        """Follow the parent's local trace, or begin one. Never raises.

        Args:
            parent: The span of ``parent_context``.
            parent_context: Where the span starts; ``None`` for the current context.
            trace_id: The parent's trace id, or a new one.
            name: The span's name.
            kind: The span's kind.
            attributes: What the span starts with.

        Returns:
            The local trace (``None`` if nothing of it can be kept); whether the span is sampled from its start; its
            tracestate; the attributes that a sampler replaced the given ones with, or ``None``; whether the span is
            the local root; for an excluded request the upstream context that is used in place of one of its own.
        """
        context = parent.get_span_context()
        local: LocalTrace | None = getattr(parent, "local_trace", None)
        try:
            if local is not None and local.buffer is self._tail_sampler.buffer:
                return _followed(local, context)
            # A local trace of another buffer was begun before a fork: its spans are a caller's here.
            if (
                local is None
                and not context.is_remote
                and context.is_valid
                and not context.trace_flags.sampled
            ):
                # A span of ours that nothing can keep: the decision of its local root stands.
                return None, False, context.trace_state, None, False, None
            return self._begun(parent_context, context, trace_id, name, kind, attributes)
        except Exception:  # noqa: BLE001 - samplers are the application's
            internal_failure("deciding about a span")
            return None, False, None, None, False, None

    def _begun(
        self,
        parent_context: Context | None,
        caller: SpanContext,
        trace_id: int,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any],
    ) -> Start:
        inherited = caller.trace_state if caller.is_valid else None
        decided: bool | None = bool(caller.trace_flags.sampled) if caller.is_valid else None
        said = self._decision_of(get_current() if parent_context is None else parent_context)
        if said.denied:
            # An excluded request has no ids of its own: what it calls and logs keeps the caller's.
            return None, False, inherited, None, False, caller if caller.is_remote else None
        if said.deferred:
            decided = None
        elif said.accepted and not caller.is_valid:
            decided = True
        added: Attributes = None
        if self._tail_sampler.needs_attributes:
            local, answer = self._tail_sampler.begin_custom(trace_id, name, parent_context, kind, attributes)
            if answer.decision is not Decision.DROP:
                added = answer.attributes or {}
            inherited = answer.trace_state
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
        """Answer as an SDK sampler does, for callers other than our tracers."""
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
        # The parent had ended when the local trace was kept.
        state = with_probability(state, local.probability, local.trace_id)
    return local, sampled, state, None, False, None
