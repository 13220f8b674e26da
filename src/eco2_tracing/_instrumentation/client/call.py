"""Begins the spans of attempts of outgoing HTTP calls, records the events of an attempt and describes its span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._instrumentation.common.http_attributes import (
    CLIENT_ERROR,
    SERVER_ERROR,
    call_attributes,
    call_name,
)
from eco2_tracing._spans.exceptions import mark_recorded, message
from eco2_tracing._spans.sanitize import class_name, class_qualname
from eco2_tracing._spans.span import Span
from eco2_tracing.propagation._inbound import FLAGS, inbound_of
from eco2_tracing.sampling._head.tracestate import with_probability
from eco2_tracing.sampling._tail.local_trace import DROPPED, UNDECIDED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry import trace
    from opentelemetry.context import Context
    from opentelemetry.trace import TraceState
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.http_attributes import Request, Url
    from eco2_tracing._instrumentation.common.state import InstrumentationState, Instrumenter
    from eco2_tracing._spans.read_side import Attributes
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

_ERROR = Status(StatusCode.ERROR)


class ClientCall:
    """An attempt with a recording span; it describes that span.

    It stores the values that attributes are derived from. It does not refer to the request or the response, because
    their bodies must not stay in memory as long as the span.

    Attributes:
        start_time: Nanoseconds since the epoch.
        span: The span, set after construction; ``None`` when the attempt has ended.
        measured_from: `perf_counter_ns` at the begin of a measured attempt, 0 if it is not measured.
        measured_span: The span of a measured attempt, also when it has ended.
    """

    _status_code: int | None = None
    _version: bytes | None = None
    _error_type: str | None = None
    _answered_time: int | None = None
    _request_headers: Iterable[tuple[bytes, bytes]] | None = None
    _response_headers: Iterable[tuple[bytes, bytes]] | None = None
    measured_from = 0
    measured_span: Span | None = None
    span: Span | None
    url: Url

    def __init__(self, state: InstrumentationState, request: Request, local: LocalTrace) -> None:
        self.state = state
        self.local = local
        self.start_time = local.now()
        self.method, self.url = request.method, request.url
        if state.client_request_headers is not None:
            self._request_headers = request.headers.raw

    def restart(self, request: Request) -> None:
        """Restart the span at the inner transport that sends the request."""
        self.method, self.url = request.method, request.url
        if self.state.client_request_headers is not None:
            self._request_headers = request.headers.raw
        span = self.span
        if span is not None:  # pragma: no branch - the caller has checked it
            span.start_time = self.local.now()

    def answered(
        self,
        status_code: int,
        extensions: dict[str, bytes],
        headers: Iterable[tuple[bytes, bytes]] | None,
    ) -> None:
        """Record that the response has begun."""
        self._status_code = status_code
        self._version = extensions.get("http_version")
        self._response_headers = headers
        self._answered_time = self.local.now()
        span = self.span
        if span is not None and status_code >= CLIENT_ERROR and span.status.status_code is StatusCode.UNSET:
            span.status = _ERROR
            if status_code >= SERVER_ERROR:
                self.local.keep(
                    "error"
                )  # a retry sends sampled=1, even if it begins before this body is read

    def finished(self) -> None:
        """End the span when the response has been read or closed. Its end time is when the response began."""
        span, self.span = self.span, None
        if span is None:  # pragma: no cover - the body ends its attempt once
            return
        local = self.local
        if not span._sealed:
            span.end_time, span._sealed = self._answered_time or local.now(), True
            if local.root is not span:
                local.buffer.child_ended(local, span)
        if local.root is span:
            self._finish_root(local)

    def raised(self, exception: BaseException) -> None:
        """Record that the attempt failed before the response or in its body, and end the span."""
        span, self.span = self.span, None
        if span is None:  # pragma: no cover - as above
            return
        local = self.local
        if isinstance(exception, Exception) and not span._sealed:
            self._error_type = class_qualname(
                type(exception)
            )  # a reference to the class may keep frames alive
            if local.keep("error"):
                mark_recorded(exception, local.trace_id)  # outer manual spans then record no second event
                span.record_exception(exception, timestamp=local.now())
            span.status = Status(StatusCode.ERROR, f"{class_name(type(exception))}: {message(exception)}")
        span.end()
        if local.root is span:
            self._finish_root(local)

    def _finish_root(self, local: LocalTrace) -> None:
        if self._status_code is not None and self._status_code >= SERVER_ERROR:
            local.keep("error")
        local.finish()

    # Description of the span -------------------------------------------------------------------

    def describe_name(self, attributes: Attributes | None = None) -> str:
        """Return the name of the span: the method."""
        return call_name(self.method)

    def describe_attributes(self) -> dict[str, AttributeValue]:
        """Return the stable HTTP attributes of the request, and of the response if there is one."""
        state = self.state
        attributes = call_attributes(self.method, self.url, state.redactor)
        status = self._status_code
        if status is not None:
            attributes["http.response.status_code"] = status
            if status >= CLIENT_ERROR:
                attributes["error.type"] = str(status)
            version = self._version
            text = version.decode("ascii", "ignore") if isinstance(version, bytes) else "HTTP/1.1"
            attributes["network.protocol.version"] = text.replace("HTTP/", "")
        if self._error_type is not None:
            attributes["error.type"] = self._error_type
        if state.client_request_headers is not None and self._request_headers is not None:
            attributes.update(state.client_request_headers.attributes(self._request_headers))
        if state.client_response_headers is not None and self._response_headers is not None:
            attributes.update(state.client_response_headers.attributes(self._response_headers))
        return attributes


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
    call = ClientCall(state, request, local)
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
