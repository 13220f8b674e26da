"""Decides whether a request is sampled, and begins its span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, SpanKind

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._instrumentation.common.http_attributes import request_attributes, span_method
from eco2_tracing._instrumentation.common.route import operation_of
from eco2_tracing._instrumentation.server.recorded import RecordedRequest
from eco2_tracing._instrumentation.server.unrecorded import UnrecordedSpan
from eco2_tracing._spans.span import Span
from eco2_tracing.propagation._inbound import FLAGS, NO_STATE, Inbound
from eco2_tracing.sampling._head.tracestate import with_probability
from eco2_tracing.sampling._tail.local_trace import HEAD

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TraceState
    from opentelemetry.util.types import AttributeValue
    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.asgi import Scope, Send
    from eco2_tracing._instrumentation.common.state import InstrumentationState, Instrumenter
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

    Added = dict[str, AttributeValue]

_NO_INBOUND = Inbound()


def begin_lazily(
    state: InstrumentationState,
    instrumenter: Instrumenter,
    inbound: Inbound,
    scope: Scope,
    send: Send,
    app: Starlette,
) -> RecordedRequest:
    """Return a request that the upstream did not sample, with its span. Ids and local trace are created on demand.

    Args:
        state: The configuration in force.
        instrumenter: Creates spans.
        inbound: The extracted context; it has ids.
        scope: The ASGI scope.
        send: The server's ``send``.
        app: The instrumented application.
    """
    request = RecordedRequest(state, instrumenter, inbound, scope, send, app)
    request.span = Span(
        instrumenter.server, None, SpanKind.SERVER, request.start_time, None, None, None, request, request
    )
    return request


def begin(
    state: InstrumentationState,
    instrumenter: Instrumenter,
    inbound: Inbound | None,
    scope: Scope,
    send: Send,
    app: Starlette,
    base: Context,
) -> RecordedRequest | UnrecordedSpan:
    """Begin the span of a request.

    Args:
        state: The configuration in force.
        instrumenter: Creates spans.
        inbound: The extracted context; ``None`` if there are no trace headers.
        scope: The ASGI scope.
        send: The server's ``send``.
        app: The instrumented application.
        base: The context around the request.

    Returns:
        The request with its span, or a non-recording span with a new span id if nothing of the request can be kept.
    """
    if not mark[0]:
        notice_fork()
    tail_sampler, factory = instrumenter.tail_sampler, instrumenter.factory
    upstream = _NO_INBOUND if inbound is None else inbound
    trace_id, trace_state, flags = upstream.trace_id, upstream.trace_state, upstream.random
    if upstream.sampled is False and trace_id and not upstream.denied and instrumenter.lazy:
        if tail_sampler.may_keep(trace_id):
            return begin_lazily(state, instrumenter, upstream, scope, send, app)
        return UnrecordedSpan(factory, upstream)
    true_root = not trace_id
    if true_root:
        trace_id, flags = factory.new_trace_id(), factory.random_flag
    added: Added | None = None
    local: LocalTrace | None = None
    if upstream.denied:
        pass
    elif tail_sampler.needs_attributes:
        local, trace_state, added = _sample_custom(state, instrumenter, scope, base, inbound, trace_id)
    else:
        name = scope.get("method", "HTTP")
        if upstream.sampled is None and instrumenter.head.needs_name:
            name = operation_of(scope, app)
        local = tail_sampler.begin(trace_id, upstream.sampled, name)
    if local is not None and local.state == HEAD:
        flags |= 1
        if local.decided_here:
            trace_state = with_probability(trace_state, local.probability, trace_id)
    context = SpanContext(
        trace_id, factory.new_span_id(), False, FLAGS[flags], NO_STATE if trace_state is None else trace_state
    )
    if local is None:
        return UnrecordedSpan(factory, upstream, context)
    request = RecordedRequest(state, instrumenter, inbound, scope, send, app)
    request.start_time, request.started = local.wall, local.monotonic
    span = request.span = Span(
        instrumenter.server, None, SpanKind.SERVER, local.wall, context, local, None, request, request
    )
    local.root, local.true_root = span, true_root
    local.stream = scope["type"] == "websocket"
    if added:
        span.set_attributes(added)
    if upstream.link is not None:
        span.add_link(upstream.link)
    return request


def _sample_custom(
    state: InstrumentationState,
    instrumenter: Instrumenter,
    scope: Scope,
    base: Context,
    inbound: Inbound | None,
    trace_id: int,
) -> tuple[LocalTrace | None, TraceState | None, Added]:
    """Return the local trace, tracestate and attributes that a custom sampler decides on.

    The sampler gets the attributes that the HTTP conventions define as relevant for sampling.
    """
    attributes = request_attributes(scope, state.redactor)
    context = base if inbound is None else state.propagation.context(inbound, base)
    local, answer = instrumenter.tail_sampler.begin_custom(
        trace_id, span_method(scope), context, SpanKind.SERVER, attributes
    )
    added = {key: value for key, value in (answer.attributes or {}).items() if key not in attributes}
    return local, answer.trace_state, added
