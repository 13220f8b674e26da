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

from eco2_tracing.sampling._local_trace import UNDECIDED, LocalTrace
from eco2_tracing.sampling._tracestate import with_probability

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import Link, SpanContext, SpanKind, TraceState
    from opentelemetry.util.types import Attributes

    from eco2_tracing.sampling._rescue import Rescuer

_SAME_MOMENT_NS = 50_000_000


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


class RescueSampler(Sampler):
    """The provider's sampler.

    Args:
        rescuer: Begins local traces.
        decision_of: Reads what propagation left in a context.
        description: What the sampler does, in words.
    """

    def __init__(
        self, rescuer: Rescuer, decision_of: Callable[[Context], CallerDecision], description: str
    ) -> None:
        self._rescuer = rescuer
        self._decision_of = decision_of
        self._description = description
        self.pending = threading.local()

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
        parent = get_current_span(parent_context)
        context = parent.get_span_context()
        local: LocalTrace | None = getattr(parent, "_eco2_local", None)
        inherited = context.trace_state if context.is_valid else None
        if local is not None:
            if context.trace_flags.sampled:
                return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, inherited)
            if local.state == UNDECIDED:
                return SamplingResult(Decision.RECORD_ONLY, attributes, inherited)
            return SamplingResult(Decision.DROP, None, inherited)
        if context.is_valid and not context.is_remote:
            # A local span that nothing can keep: the decision of its local root stands.
            decision = Decision.RECORD_AND_SAMPLE if context.trace_flags.sampled else Decision.DROP
            return SamplingResult(decision, attributes if context.trace_flags.sampled else None, inherited)
        return self._local_root(parent_context, context, trace_id, name, kind, attributes)

    def _local_root(
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
        deferred, denied, accepted = self._decision_of(get_current() if parent_context is None else parent_context)
        if denied:
            return SamplingResult(Decision.DROP, None, inherited)
        if deferred:
            decided = None
        elif accepted and not caller.is_valid:
            decided = True
        extra: Any = None
        if self._rescuer.needs_attributes:
            local, answer = self._rescuer.begin_custom(trace_id, name, parent_context, kind, attributes)  # type: ignore[arg-type]
            extra, inherited = answer.attributes, answer.trace_state
        else:
            local = self._rescuer.begin(trace_id, decided, name)
        if local is None:
            return SamplingResult(Decision.DROP, None, inherited)
        local.true_root = not caller.is_valid
        self.pending.local = local
        if not local.sampled:
            return SamplingResult(Decision.RECORD_ONLY, attributes, inherited)
        if local.decided_here:
            inherited = with_probability(inherited, local.probability, trace_id)
        return SamplingResult(Decision.RECORD_AND_SAMPLE, extra or attributes, inherited)

    def get_description(self) -> str:
        """What the sampler does, in words."""
        return self._description


class RescueProcessor(SpanProcessor):
    """The provider's only span processor: ties the SDK's spans to their local traces.

    Args:
        rescuer: Holds and emits.
        sampler: The sampler that began the local trace of a local root.
        on_start: Called with every recorded span and its parent context: the application's processors.
    """

    def __init__(
        self,
        rescuer: Rescuer,
        sampler: RescueSampler,
        on_start: Callable[[Span, Context | None], None] | None,
    ) -> None:
        self._rescuer = rescuer
        self._pending = sampler.pending
        self._tell = on_start

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Tie a span to its parent's local trace, or to the one that it begins."""
        local: LocalTrace | None = getattr(get_current_span(parent_context), "_eco2_local", None)
        live: Any = span
        if local is None:
            local = self._pending.__dict__.pop("local", None)
            if local is None:
                return
            local.root = span
        else:
            local.began(live)
        live._eco2_local = local
        # The copy that ``on_end`` gets shares this object, and nothing else, with the live span.
        live._attributes._eco2_local = local
        if abs(time_ns() - live._start_time) < _SAME_MOMENT_NS:
            live._start_time = local.now()
        if self._tell is not None:
            self._tell(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        """Give an ended span to its local trace."""
        ended: Any = span
        local: LocalTrace | None = getattr(ended._attributes, "_eco2_local", None)
        if local is None:
            return
        if abs(time_ns() - ended._end_time) < _SAME_MOMENT_NS:
            ended._end_time = local.now()
        root = local.root
        if root is not None and root._context.span_id == ended._context.span_id:
            local.root_ended(ended)
        else:
            self._rescuer.child_ended(local, ended)
