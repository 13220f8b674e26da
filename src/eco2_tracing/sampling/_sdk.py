"""The rescuer on the SDK's seams: a ``Sampler`` and a ``SpanProcessor``.

Spans of every library take part: their sampler is asked here, and their beginnings and ends arrive
here. The lean server and client spans talk to the rescuer directly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.context import get_current
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import get_current_span

from eco2_tracing._guard import internal_failure
from eco2_tracing.sampling._local_trace import HEAD, KEPT, UNDECIDED, LocalTrace
from eco2_tracing.sampling._tracestate import with_probability

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

    from eco2_tracing.sampling._rescue import Rescuer

_SAME_MOMENT_NS = 50_000_000
_EXPORTED = (HEAD, KEPT)
_DROP = Decision.DROP
_RECORD = Decision.RECORD_ONLY
_SAMPLE = Decision.RECORD_AND_SAMPLE


class CallerDecision(NamedTuple):
    """What a context says about sampling, beside its flags.

    Attributes:
        deferred: The caller left the decision to us.
        denied: Nothing may be recorded: a bare deny, or an excluded path.
        accepted: The caller wants a new trace that is sampled: a bare accept or debug.
    """

    deferred: bool
    denied: bool
    accepted: bool = False


class Answer(SamplingResult):
    """The SDK's result without its read-only views, which cost more than the decision."""

    def __init__(self, decision: Decision, attributes: Any, trace_state: TraceState | None) -> None:
        self.decision = decision
        self.attributes = attributes
        self.trace_state = trace_state


class Pending(threading.local):
    """What the sampler tells the processor, in the thread in which a span begins."""

    local: LocalTrace | None = None


class RescueSampler(Sampler):
    """The provider's sampler.

    Args:
        rescuer: Begins local traces.
        decision_of: Reads what propagation left in a context.
        description: What the sampler does, in words.

    Attributes:
        pending: The local trace of the span that this thread is beginning.
    """

    def __init__(
        self, rescuer: Rescuer, decision_of: Callable[[Context], CallerDecision], description: str
    ) -> None:
        self._rescuer = rescuer
        self._decision_of = decision_of
        self._description = description
        self.pending = Pending()

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
        """Follow the local trace; begin one where there is none."""
        try:
            parent: Any = get_current_span(parent_context)
            context = parent.get_span_context()
            local: LocalTrace | None = getattr(parent, "_eco2_local", None)
            # One of another keeper was begun before a fork: its spans are a caller's here.
            if local is not None and local.keeper is self._rescuer.keeper:
                return self._followed(local, context, attributes)
            if (
                not context.is_remote
                and local is None
                and context.is_valid
                and not context.trace_flags.sampled
            ):
                # A span of ours that nothing can keep: the decision of its local root stands.
                return Answer(_DROP, None, context.trace_state)
            return self._begun(parent_context, context, trace_id, name, kind, attributes)
        except Exception:  # noqa: BLE001 - the application only wanted a span
            internal_failure("deciding about a span")
            return Answer(_DROP, None, None)

    def _followed(self, local: LocalTrace, parent: SpanContext, attributes: Attributes) -> SamplingResult:
        state = local.state
        if state == UNDECIDED:
            self.pending.local = local
            return Answer(_RECORD, attributes, parent.trace_state)
        if state in _EXPORTED:
            self.pending.local = local
            inherited: TraceState | None = parent.trace_state
            if not parent.trace_flags.sampled:
                # The parent had ended when the local trace was kept.
                inherited = with_probability(inherited, local.probability, local.trace_id)
            return Answer(_SAMPLE, attributes, inherited)
        return Answer(_DROP, None, parent.trace_state)

    def _begun(
        self,
        parent_context: Context | None,
        caller: SpanContext,
        trace_id: int,
        name: str,
        kind: SpanKind | None,
        attributes: Attributes,
    ) -> SamplingResult:
        inherited = caller.trace_state if caller.is_valid else None
        decided: bool | None = bool(caller.trace_flags.sampled) if caller.is_valid else None
        said = self._decision_of(get_current() if parent_context is None else parent_context)
        if said.denied:
            return Answer(_DROP, None, inherited)
        if said.deferred:
            decided = None
        elif said.accepted and not caller.is_valid:
            decided = True
        if self._rescuer.needs_attributes:
            local, answer = self._rescuer.begin_custom(trace_id, name, parent_context, kind, attributes)
            if answer.decision is not _DROP:
                attributes = answer.attributes
            inherited = answer.trace_state
        else:
            local = self._rescuer.begin(trace_id, decided, name)
        if local is None:
            return Answer(_DROP, None, inherited)
        local.true_root = not caller.is_valid
        self.pending.local = local
        if local.state == UNDECIDED:
            return Answer(_RECORD, attributes, inherited)
        if local.decided_here:
            inherited = with_probability(inherited, local.probability, trace_id)
        return Answer(_SAMPLE, attributes, inherited)

    def get_description(self) -> str:
        """What the sampler does, in words."""
        return self._description


class RescueProcessor(SpanProcessor):
    """The provider's only span processor: ties the SDK's spans to their local traces.

    Args:
        sampler: The sampler that found or began a span's local trace.
        on_start: Called with every recorded span and its parent context: the application's processors.
    """

    def __init__(
        self, sampler: RescueSampler, on_start: Callable[[Span, Context | None], None] | None
    ) -> None:
        self._pending = sampler.pending
        self.tell = on_start

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Tie a span to its parent's local trace, or to the one that it begins."""
        local = self._pending.local
        live: Any = span
        if local is None or local.trace_id != live._context.trace_id:
            return  # made past our sampler
        self._pending.local = None
        if local.root is None and not local.closing:
            local.root = span
        else:
            local.began(live)
        live._eco2_local = local
        # The copy that ``on_end`` gets shares this object, and nothing else, with the live span.
        live._attributes._eco2_local = local
        if _is_now(live._start_time):
            live._start_time = local.now()
        if self.tell is not None:
            self.tell(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Give an ended span to its local trace."""
        ended: Any = span
        local: LocalTrace | None = getattr(ended._attributes, "_eco2_local", None)
        if local is None:
            return
        try:
            if _is_now(ended._end_time):
                ended._end_time = local.now()
            root = local.root
            if root is not None and root._context.span_id == ended._context.span_id:
                local.root_ended(ended)
            else:
                local.keeper.child_ended(local, ended)
        except Exception:  # noqa: BLE001 - the application only ended a span
            internal_failure("an ended span")


def _is_now(time: Any) -> bool:
    """Whether a time is the wall clock's, for which the local trace's can stand; anybody may have given it."""
    return isinstance(time, int) and abs(time_ns() - time) < _SAME_MOMENT_NS
