"""Decides whether an attempt of an outgoing HTTP call can be kept, and begins its span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, SpanKind

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._instrumentation.client.call import ClientCall
from eco2_tracing._instrumentation.client.sized import SizedCall
from eco2_tracing._instrumentation.common.http_attributes import call_attributes
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._spans.span import Span
from eco2_tracing.propagation._inbound import FLAGS, inbound_of
from eco2_tracing.sampling._head.tracestate import with_probability
from eco2_tracing.sampling._tail.local_trace import DROPPED, UNDECIDED

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import TraceState

    from eco2_tracing._instrumentation.common.http_attributes import Request
    from eco2_tracing._instrumentation.common.state import InstrumentationState, Instrumenter
    from eco2_tracing._spans.read_side import Attributes
    from eco2_tracing.sampling._tail.local_trace import LocalTrace


def begin_call(
    state: InstrumentationState,
    instrumenter: Instrumenter,
    context: Context,
    parent_span: trace.Span,
    parent: SpanContext,
    request: Request,
) -> tuple[ClientCall | None, SpanContext]:
    """Begin the span of an attempt if it can be kept.

    Returns:
        The attempt with its span, or ``None``; and the span context to inject.
    """
    if not mark[0]:
        notice_fork()
    factory = instrumenter.factory
    local: LocalTrace | None = (
        None if type(parent_span) is not Span else parent_span._local or parent_span.local_trace
    )
    trace_id, _, remote, flags, inherited, valid = parent
    trace_state: TraceState | None = inherited
    if local is not None and local.buffer is not instrumenter.tail_sampler.buffer:
        local, remote = None, True  # begun before a fork: the span belongs to another process
    is_root, added = local is None, None
    if local is None:
        if valid and not remote:
            return None, parent  # nothing of this trace can be kept
        local, trace_id, trace_state, added = _local_root(state, instrumenter, parent, context, request)
        if local is None:
            if not valid and trace_id:
                parent = SpanContext(trace_id, factory.new_span_id(), False, FLAGS[factory.random_flag])
            return None, parent
    elif local.state == DROPPED:
        return None, parent
    elif local.state != UNDECIDED and not flags & 1:
        # The local trace was kept after the parent had ended: the parent's tracestate has no probability.
        trace_state = with_probability(trace_state, local.probability, trace_id)
    if not valid:
        flags = FLAGS[factory.random_flag]
    span_context = SpanContext(
        trace_id, factory.new_span_id(), False, FLAGS[(flags & 2) | (local.state != UNDECIDED)], trace_state
    )
    call = (SizedCall if current.sizes else ClientCall)(state, request, local)
    span = call.span = Span(
        instrumenter.client,
        parent if valid else None,
        SpanKind.CLIENT,
        call.start_time,
        span_context,
        local,
        None,
        call,
    )
    if is_root:
        local.root = span
        local.true_root = not valid
        if added:
            span.set_attributes(added)
    else:
        local.began(span)
    if factory.on_start is not None:
        factory.on_start(span, context)
    return call, span_context


def _local_root(
    state: InstrumentationState,
    instrumenter: Instrumenter,
    parent: SpanContext,
    context: Context,
    request: Request,
) -> tuple[LocalTrace | None, int, TraceState | None, Attributes | None]:
    """Begin the local trace of a call without a local parent span, as in a worker or a script.

    Returns:
        The local trace, or ``None`` if it cannot be kept; the trace id, 0 if no trace is begun; the tracestate; the
        attributes that the sampler adds to the root.
    """
    inbound = inbound_of(context)
    decided: bool | None = None
    trace_id = parent.trace_id
    trace_state: TraceState | None = parent.trace_state
    if inbound is not None and inbound.denied:
        return None, 0, None, None
    if not parent.is_valid:
        trace_id, trace_state = instrumenter.factory.new_trace_id(), None
        if inbound is not None and not inbound.trace_id:
            decided = inbound.sampled
    elif inbound is not None and inbound.trace_id == trace_id:
        decided = inbound.sampled
    else:
        decided = parent.trace_flags.sampled
    tail_sampler = instrumenter.tail_sampler
    added: Attributes | None = None
    if tail_sampler.needs_attributes:
        attributes = call_attributes(request.method, request.url, state.redactor)
        local, answer = tail_sampler.begin_custom(
            trace_id, request.method, context, SpanKind.CLIENT, attributes
        )
        trace_state = answer.trace_state
        added = {key: value for key, value in (answer.attributes or {}).items() if key not in attributes}
    else:
        local = tail_sampler.begin(trace_id, decided, request.method)
    if local is not None and local.sampled and local.decided_here:
        trace_state = with_probability(trace_state, local.probability, trace_id)
    return local, trace_id, trace_state, added
