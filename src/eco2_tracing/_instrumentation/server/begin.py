"""Decides whether a request is sampled, and begins its span.

Requests that cannot be kept. Their ids, for log lines and outgoing calls, are created on demand.
"""

from __future__ import annotations

import os
from time import perf_counter_ns
from typing import TYPE_CHECKING

from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, get_current_span

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.http_attributes import request_attributes, span_method
from eco2_tracing._instrumentation.common.route import operation_of
from eco2_tracing._instrumentation.common.served_request import ServedRequest, store_ids, unsampled_context
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.server.recorded import RecordedRequest
from eco2_tracing._instrumentation.server.sized import SizedRequest
from eco2_tracing._spans.read_side import creation
from eco2_tracing._spans.span import Span
from eco2_tracing.propagation._inbound import FLAGS, NO_STATE, Inbound
from eco2_tracing.sampling._head.tracestate import with_probability
from eco2_tracing.sampling._tail.local_trace import HEAD

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import TraceState
    from opentelemetry.util.types import AttributeValue
    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.http_attributes import Scope, Send
    from eco2_tracing._instrumentation.common.state import InstrumentationState, Instrumenter
    from eco2_tracing._spans.tracer import SpanFactory
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

    Added = dict[str, AttributeValue]


class UnrecordedSpan(NonRecordingSpan):
    """A non-recording span with its own span id.

    Args:
        factory: Generates the span id.
        inbound: The extracted context.
        context: The span's context; ``None`` to create it on demand in the upstream's trace.
    """

    def __init__(self, factory: SpanFactory, inbound: Inbound, context: SpanContext | None = None) -> None:
        self._factory = factory
        self._inbound = inbound
        self._span_context = context

    def get_span_context(self) -> SpanContext:
        """Return the span's context, the same one for all threads."""
        context = self._span_context
        if context is None:
            with creation.lock:
                context = self._span_context
                if context is None:
                    context = self._span_context = unsampled_context(self._factory, self._inbound)
        return context

    def __repr__(self) -> str:
        return f"UnrecordedSpan({self.get_span_context()!r})"


class UnrecordedRequest(ServedRequest):
    """A request with an `UnrecordedSpan`."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        span: UnrecordedSpan,
        trace_id_header: tuple[bytes, bytes] | None = None,
    ) -> None:
        # The constructor of the base class is inlined, because a call costs time in each request.
        self.scope = scope
        self.started = perf_counter_ns()
        self._send = send
        self._trace_id_header = trace_id_header
        self._span = span

    def failed(self, exception: BaseException) -> None:
        """Store the ids on the exception for the server's log line."""
        with guarded("the exception of a request"):
            context = self._span.get_span_context()
            store_ids(exception, context.trace_id, context.span_id)


def _create_ids() -> None:
    """Create the ids of the current request before a fork, so that both processes have the same."""
    get_current_span().get_span_context()


os.register_at_fork(before=_create_ids)


_NO_INBOUND = Inbound()


def begin_lazily(
    state: InstrumentationState,
    instrumenter: Instrumenter,
    inbound: Inbound,
    scope: Scope,
    send: Send,
    app: Starlette,
) -> RecordedRequest:
    """Return a request that the upstream did not sample, with its span. Ids and local trace are created on demand."""
    request = (SizedRequest if current.sizes else RecordedRequest)(
        state, instrumenter, inbound, scope, send, app
    )
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
    request = (SizedRequest if current.sizes else RecordedRequest)(
        state, instrumenter, inbound, scope, send, app
    )
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
