"""What the tail sampler decides by: the settings, and the caller's decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import get_current_span

from eco2_tracing.propagation import inbound_of
from eco2_tracing.sampling._tail.limits import TailRules
from eco2_tracing.sampling._tail.sampler import CallerDecision

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from eco2_tracing._settings import Settings


def tail_rules(settings: Settings) -> TailRules:
    """Return the reasons to keep a local trace."""
    rate = settings.error_sampling_rate
    slow, by_route = settings.slow_threshold_ms, settings.slow_thresholds_ms
    if settings.traces_sampler.endswith("always_off") and not settings.error_sampling_rate_is_set:
        rate, slow, by_route = 0.0, None, {}
    return TailRules(error_rate=rate, slow_ms=slow, slow_ms_by_route=by_route)


def caller_decision(context: Context) -> CallerDecision:
    """Return the sampling decision of the inbound headers that a context was made from."""
    inbound = inbound_of(context)
    if inbound is None:
        return CallerDecision(deferred=False, denied=False)
    caller = get_current_span(context).get_span_context()
    if caller.is_valid and caller.trace_id != inbound.trace_id:
        # The context has another parent than the request's headers, as in a consumer.
        return CallerDecision(deferred=False, denied=inbound.denied)
    return CallerDecision(inbound.sampled is None, inbound.denied, inbound.sampled is True)
