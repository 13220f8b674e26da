"""Requests with a recording span: records their events and describes the span."""

from __future__ import annotations

import sys
from time import perf_counter_ns, time_ns
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, Status, StatusCode

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.http_attributes import (
    SERVER_ERROR,
    is_event_stream,
    make_headers_reusable,
    request_attributes,
    span_method,
)
from eco2_tracing._instrumentation.common.route import route_of
from eco2_tracing._instrumentation.common.served_request import ServedRequest, store_ids, unsampled_context
from eco2_tracing._spans.exceptions import message as message_of
from eco2_tracing._spans.exceptions import unwrap_group
from eco2_tracing._spans.peer import (
    Peer,
    is_background_task_error,
    is_malformed_request,
    is_peer_error,
    is_peer_error_response,
)
from eco2_tracing._spans.sanitize import class_name, class_qualname
from eco2_tracing.propagation import format_server_timing
from eco2_tracing.sampling._head.samplers import UNKNOWN
from eco2_tracing.sampling._tail.local_trace import HEAD, KEPT, UNDECIDED, LocalTrace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from opentelemetry.util.types import AttributeValue
    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.http_attributes import Message, Receive, Scope, Send
    from eco2_tracing._instrumentation.common.state import InstrumentationState, Instrumenter
    from eco2_tracing._spans.read_side import Attributes
    from eco2_tracing._spans.span import Span
    from eco2_tracing.propagation import Inbound

_ERROR = Status(StatusCode.ERROR)


class RecordedRequest(ServedRequest):
    """A request or WebSocket connection with a recording span; it describes that span.

    If the upstream did not sample the request, ids and local trace are created on demand: by a log line, an outgoing
    call, a child span or an error.

    Attributes:
        inbound, instrumenter: The arguments.
        start_time: Nanoseconds since the epoch.
        span: The span, set after construction; ``None`` when the request has been closed.
    """

    # Class attributes are the defaults of values that most requests never set.
    _has_trailers = False
    _status_code: int | None = None
    _response_headers: Iterable[tuple[bytes, bytes]] | None = None
    _error_type: str | None = None
    _peer: Peer | None = None
    _closed = False
    span: Span | None

    def __init__(
        self,
        state: InstrumentationState,
        instrumenter: Instrumenter,
        inbound: Inbound | None,
        scope: Scope,
        send: Send,
        app: Starlette,
    ) -> None:
        # The constructor of the base class is inlined, because a call costs time in each request.
        self.start_time = time_ns()
        self.started = perf_counter_ns()
        self._send = send
        self._state = state
        self.instrumenter = instrumenter
        self.inbound = inbound
        self._app = app
        # A copy, because middleware may change the scope and its headers in place.
        self.routed = scope
        self.scope = self._arrived = arrived = {**scope}
        arrived["headers"] = tuple(scope["headers"])

    def make_parent(self) -> SpanContext | None:
        """Return the span context of the upstream; ``None`` if there is none."""
        return None if self.inbound is None else self.inbound.span_context()

    def make_context(self) -> SpanContext:
        """Return the context of the span, in the upstream's trace and not sampled."""
        assert self.inbound is not None  # noqa: S101 - without an upstream the context is created at the start
        return unsampled_context(self.instrumenter.factory, self.inbound)

    def begin_local_trace(self, span: Span) -> LocalTrace:
        """Return the new local trace of a request that the upstream did not sample."""
        local = LocalTrace(
            self.instrumenter.tail_sampler.buffer,
            UNDECIDED,
            span._context.trace_id,
            span_method(self._arrived),
            UNKNOWN,
            self.start_time,
            False,
        )
        local.monotonic = self.started
        local.root = span
        local.stream = self._arrived["type"] == "websocket"
        span._local = local
        if self._closed:
            local.finish()  # the request has ended without an error
        return local

    def _time(self, monotonic: int) -> int:
        """Return nanoseconds since the epoch for a `perf_counter_ns` value; 0 means now."""
        return self.start_time + (monotonic or perf_counter_ns()) - self.started

    def watch(self, receive: Receive) -> Receive:
        """Record disconnects of the peer; return the ``receive`` to use."""
        self._peer = Peer(receive)
        return self._peer.receive

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application, in place of the server's ``send``."""
        kind = message["type"]
        if kind == "http.response.start":
            try:
                message = self._response_started(message)
            except Exception:  # noqa: BLE001 - the message is sent unchanged
                internal_failure("reading a response's beginning")
                if not isinstance(self._status_code, int):
                    self._status_code = None  # the server will refuse the status, too
        elif kind != "http.response.body":
            return self._send_other(kind, message)
        elif not message.get("more_body") and not self._has_trailers:
            return self.send_last(message)
        return self._send(message)

    async def _send_other(self, kind: str, message: Message) -> None:
        if kind == "http.response.pathsend" or (
            kind == "http.response.trailers" and not message.get("more_trailers")
        ):
            await self.send_last(message)
            return
        try:
            await self._send(message)
        except OSError:
            if self._peer is not None:
                self._peer.has_disconnected = True
            raise
        if kind == "websocket.send":
            self._status_code = 200  # as contrib reports a message that was sent

    def _response_started(self, message: Message) -> Message:
        status: int = message["status"]
        self._status_code = status
        if "trailers" in message:
            self._has_trailers = bool(message["trailers"])
        span = self.span
        if span is None:
            return message  # the application has returned; the server refuses later messages
        if status < SERVER_ERROR and not self._state.reads_responses:
            local: LocalTrace | None = span._local
            if local is None:
                return message  # no child span, log line or error has needed a local trace
            headers = message.get("headers")
            if local.state == HEAD and type(headers) is list:
                # The children of an event stream are exported before its end. It is never slow.
                local.stream = is_event_stream(headers)
                return message
        return self._inspect_response(span, status, message)

    def _inspect_response(self, span: Span, status: int, message: Message) -> Message:
        state = self._state
        make_headers_reusable(message)
        if state.server_response_headers is not None:
            self._response_headers = message.get("headers")
        local: LocalTrace = span.local_trace
        if status >= SERVER_ERROR:
            self._server_error(local)
        if local.sampled or local.buffer.slow:
            # The children of an event stream are exported before its end. It is never slow.
            local.stream = is_event_stream(message.get("headers"))
        added: list[tuple[bytes, bytes]] = []
        context, inbound = span._context, self.inbound
        if local.state == KEPT and inbound is not None and inbound.trace_id and state.trust_inbound:
            added.append((b"server-timing", format_server_timing(context.trace_id, context.span_id)))
        if state.response_header is not None:
            added.append((state.response_header, b"%032x" % context.trace_id))
        return {**message, "headers": [*message.get("headers", ()), *added]} if added else message

    def _server_error(self, local: LocalTrace) -> None:
        """Keep the local trace, unless the peer caused the response of 500 or above."""
        if is_peer_error_response(self._send, self._peer):
            self._status_code = None
        elif self._state.trust_inbound or not is_malformed_request(sys.exc_info()[1]):
            local.keep("error")

    def failed(self, exception: BaseException) -> None:
        """Record the exception that the application raised on the span, and keep the local trace."""
        try:
            span = self.span
            if span is not None:  # pragma: no branch - set until the request is closed
                context = span._context
                store_ids(exception, context.trace_id, context.span_id)
                self._record_failure(span, unwrap_group(exception))
        except BaseException:  # noqa: BLE001 - the application's exception is raised, not this one
            internal_failure("the exception of a request")

    def _record_failure(self, span: Span, exception: BaseException) -> None:
        """Record an exception, unless it is a cancellation or was caused by the peer.

        The exception of a background task is recorded on the span of the task. A malformed request of an untrusted
        upstream does not keep a local trace that was not sampled.
        """
        if not issubclass(type(exception), Exception):
            return
        if is_peer_error(exception, self._send, self._peer):
            if span.has_local_trace:
                span.local_trace.stream = True  # the peer decided the duration: the request is never slow
            return
        local: LocalTrace = span.local_trace
        is_complete, status = self.response_end > 0, self._status_code
        if is_complete and is_background_task_error(exception):
            local.keep("error")
            return
        is_untrusted = not self._state.trust_inbound and is_malformed_request(exception)
        is_exported = local.sampled if is_untrusted else local.keep("error")
        if not is_exported or span._sealed:
            return
        self._error_type = class_qualname(type(exception))  # a reference to the class may keep frames alive
        span.record_exception(exception, timestamp=self._time(self.response_end))
        if not is_complete or status is None or status < SERVER_ERROR:
            span.status = Status(StatusCode.ERROR, f"{class_name(type(exception))}: {message_of(exception)}")

    def close(self) -> None:
        """End the span and finish its local trace. Removes the reference to the span."""
        span, self.span = self.span, None
        if span is None:  # pragma: no cover - closed once
            return
        self._closed = True  # set before the local trace is read: another thread may begin it now
        status = self._status_code
        if not span._sealed:
            if status is not None and status >= SERVER_ERROR and span.status.status_code is StatusCode.UNSET:
                span.status = _ERROR
            span.end_time = self.start_time + (self.response_end or perf_counter_ns()) - self.started
            span._sealed = True
        local: LocalTrace | None = span._local
        if local is not None:
            try:
                local.buffer.finish(local)
            except Exception:  # noqa: BLE001  # pragma: no cover - a guard: no known case raises
                internal_failure("ending a server span")

    def describe_name(self, attributes: Attributes | None = None) -> str:
        """Return the name of the span: method and route."""
        method: object
        route: object
        if attributes is None:
            method = span_method(self._arrived)
            route = route_of(self.routed or self._arrived, self._arrived, self._app)
        else:
            method, route = attributes.get("http.request.method", "HTTP"), attributes.get("http.route")
            if method == "_OTHER":
                method = "HTTP"
        return f"{method} {route}" if route else str(method)

    def describe_attributes(self) -> dict[str, AttributeValue]:
        """Return the stable HTTP attributes of the request, and of the response if there is one."""
        state = self._state
        attributes = request_attributes(self._arrived, state.redactor)
        route = route_of(self.routed or self._arrived, self._arrived, self._app)
        if route:
            attributes["http.route"] = route
        status = self._status_code
        if status is not None:
            attributes["http.response.status_code"] = status
        if self._error_type is not None:
            attributes["error.type"] = self._error_type
        elif status is not None and status >= SERVER_ERROR:
            attributes["error.type"] = str(status)
        if state.server_request_headers is not None:
            attributes.update(state.server_request_headers.attributes(self._arrived["headers"]))
        if state.server_response_headers is not None and self._response_headers is not None:
            attributes.update(state.server_response_headers.attributes(self._response_headers))
        return attributes
