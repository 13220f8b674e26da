"""A decision that the caller left to us, under a tracer provider that somebody else installed.

B3 can leave the decision open; OpenTelemetry's span context cannot say so, and a sampler that follows its parent would
take it for a refusal. So the provider's own sampler is asked as for a root, and its answer stands for the caller's.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from eco2_tracing._guard import internal_failure
from eco2_tracing.propagation import Inbound, Propagation, inbound_of


class ExternalPropagation(Propagation):
    """Propagation that asks the sampler of another provider where a caller leaves the decision open.

    Args:
        provider: The one in charge; without a ``sampler``, as the SDK's has, nobody is asked.
        arguments: As for ``Propagation``.
        keywords: As for ``Propagation``.
    """

    def __init__(self, provider: Any, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._sampler = getattr(provider, "sampler", None)

    def context(self, inbound: Inbound, base: Context | None = None, *, excluded: bool = False) -> Context:
        """Put what the headers said, and the decision, into a context."""
        return self._decided(super().context(inbound, base, excluded=excluded))

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Do the same through the OpenTelemetry interface."""
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
        if self._sampler is None:
            return False
        try:
            result = self._sampler.should_sample(Context(), trace_id, "HTTP", SpanKind.SERVER, {}, ())
            return bool(result.decision.is_sampled())
        except Exception:  # noqa: BLE001 - anybody's sampler, and the request goes on
            internal_failure("asking the sampler of another provider")
            return False
