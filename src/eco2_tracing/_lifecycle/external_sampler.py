"""Deferred sampling decisions under an external tracer provider.

B3 headers may leave the decision to the receiver. OpenTelemetry's span context cannot express that: a parent-based
sampler would read it as "not sampled". The provider's sampler decides as for a root span instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from eco2_tracing._guard import guarded
from eco2_tracing.propagation import Inbound, Propagation, inbound_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler


class ExternalPropagation(Propagation):
    """Propagation that asks the sampler of an external provider for deferred decisions.

    Without a sampler, no deferred context is sampled.
    """

    sampler: Sampler | None = None

    def context(self, inbound: Inbound, base: Context | None = None, *, excluded: bool = False) -> Context:
        """Return a context with the inbound headers and the decision."""
        return self._decided(super().context(inbound, base, excluded=excluded))

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Extract the context from a carrier, and decide."""
        return self._decided(super().extract(carrier, context, getter))

    def _decided(self, context: Context) -> Context:
        inbound = inbound_of(context)
        if inbound is None or inbound.sampled is not None or not inbound.trace_id:
            return context
        caller = get_current_span(context).get_span_context()
        if not caller.is_remote or caller.trace_id != inbound.trace_id or not self._samples(caller.trace_id):
            return context
        flags = TraceFlags(caller.trace_flags | TraceFlags.SAMPLED)
        decided = SpanContext(caller.trace_id, caller.span_id, True, flags, caller.trace_state)
        return set_span_in_context(NonRecordingSpan(decided), context)

    def _samples(self, trace_id: int) -> bool:
        if self.sampler is not None:
            with guarded("asking the sampler of another provider"):
                result = self.sampler.should_sample(Context(), trace_id, "HTTP", SpanKind.SERVER, {}, ())
                return result.decision is Decision.RECORD_AND_SAMPLE
        return False
