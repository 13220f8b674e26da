"""The decision about a request, and the span that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanContext, SpanKind

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._instrumentation.common.http_attributes import request_attributes, span_method
from eco2_tracing._instrumentation.common.route import operation_of
from eco2_tracing._instrumentation.server.request_ids import UnrecordedSpan
from eco2_tracing._instrumentation.server.span import ServerSpan
from eco2_tracing.propagation._inbound import FLAGS, NO_STATE, Inbound
from eco2_tracing.sampling._head.tracestate import with_probability

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TraceState

    from eco2_tracing._instrumentation.common.state import InstrumentationState, Recording
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

_NOTHING = Inbound()


def begin_server_span(
    engine: InstrumentationState,
    recording: Recording,
    scope: dict[str, Any],
    send: Any,
    base: Context,
    inbound: Inbound | None,
    app: Any,
) -> ServerSpan | UnrecordedSpan:
    """Begin the span of a request.

    Args:
        engine: The configuration in force.
        recording: How it makes spans.
        scope: The ASGI scope.
        send: The server's ``send``.
        base: The context around the request.
        inbound: What the headers said; ``None`` when nothing.
        app: The instrumented application.

    Returns:
        A span that records nothing, with ids of its own, where nothing of the request can be kept.
    """
    if not mark[0]:
        notice_fork()
    tail_sampler = recording.tail_sampler
    if (
        inbound is not None
        and inbound.sampled is False
        and inbound.trace_id
        and not inbound.denied
        and recording.lazily
    ):
        # The caller has decided, and the rest is made when something happens.
        if tail_sampler.may_keep(inbound.trace_id):
            return ServerSpan(engine, recording, inbound, scope, send, app)
        return UnrecordedSpan(recording, inbound, scope)
    came = _NOTHING if inbound is None else inbound
    trace_id, trace_state, flags = came.trace_id, came.trace_state, came.random
    true_root = not trace_id
    if true_root:
        trace_id, flags = recording.new_trace_id(), recording.random_flag
    added: dict[str, Any] | None = None
    if came.denied:
        local = None
    elif tail_sampler.needs_attributes:
        local, trace_state, added = _ask(engine, recording, scope, base, inbound, trace_id)
    else:
        name = scope.get("method", "HTTP")
        if came.sampled is None and recording.head.needs_name:
            name = operation_of(scope, app)
        local = tail_sampler.begin(trace_id, came.sampled, name)
    if local is not None and local.sampled:
        flags |= 1
        if local.decided_here:
            trace_state = with_probability(trace_state, local.probability, trace_id)
    state = NO_STATE if trace_state is None else trace_state
    context = SpanContext(trace_id, recording.new_span_id(), False, FLAGS[flags], state)
    if local is None:
        unrecorded = UnrecordedSpan(recording, came, scope)
        unrecorded._context = context
        return unrecorded
    span = ServerSpan(engine, recording, inbound, scope, send, app)
    span.belong(local, context)
    local.true_root = true_root
    if added:
        span.set_attributes(added)
    if came.link is not None:
        span.add_link(came.link)
    return span


def _ask(
    engine: InstrumentationState,
    recording: Recording,
    scope: dict[str, Any],
    base: Context,
    inbound: Inbound | None,
    trace_id: int,
) -> tuple[LocalTrace | None, TraceState | None, dict[str, Any]]:
    """Ask an installed sampler, with the attributes that the conventions call sampling-relevant."""
    attributes = request_attributes(scope, engine.redactor)
    context = base if inbound is None else engine.propagation.context(inbound, base)
    name = span_method(scope)
    local, answer = recording.tail_sampler.begin_custom(trace_id, name, context, SpanKind.SERVER, attributes)
    added = {key: value for key, value in (answer.attributes or {}).items() if key not in attributes}
    return local, answer.trace_state, added
