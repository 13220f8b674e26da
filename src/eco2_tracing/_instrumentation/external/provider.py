"""Requests and calls of httpx under an external provider. Uses only the OpenTelemetry API."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.http_attributes import (
    CLIENT_ERROR,
    call_attributes,
    call_name,
    make_headers_reusable,
    request_attributes,
    span_method,
)
from eco2_tracing._instrumentation.common.route import route_of
from eco2_tracing._instrumentation.common.served_request import (
    ServedRequest,
    call_hook,
    store_ids,
    trace_id_header,
)
from eco2_tracing._spans.exceptions import exception_attributes, message
from eco2_tracing._spans.peer import Peer, is_peer_error, is_peer_error_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from eco2_tracing._instrumentation.common.http_attributes import (
        Hook,
        Message,
        Receive,
        Request,
        Scope,
        Send,
        Url,
    )
    from eco2_tracing._instrumentation.common.state import InstrumentationState
    from eco2_tracing.propagation import Inbound

_SERVER_ERROR = 500


class ExternalRequest(ServedRequest):
    """A request or WebSocket connection with a span of the external provider."""

    _status_code: int | None = None

    def __init__(self, state: InstrumentationState, span: Span, scope: Scope, send: Send, peer: Peer) -> None:
        super().__init__(
            scope, send, trace_id_header(state.response_header, span.get_span_context().trace_id)
        )
        self._state = state
        self._span = span
        self._scope = scope
        self._arrived = {**scope}
        self._peer = peer

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application, in place of the server's ``send``."""
        if message["type"] == "http.response.start":
            with guarded("reading a response's beginning"):
                make_headers_reusable(message)
                status = message["status"]
                if status < _SERVER_ERROR or not is_peer_error_response(self._send, self._peer):
                    self._status_code = status
                captured = self._state.server_response_headers
                if captured is not None:
                    self._span.set_attributes(captured.attributes(message.get("headers", ())))
        return super().send(message)

    def failed(self, exception: BaseException) -> None:
        """Record the exception that the application raised on the span, unless the peer caused it."""
        if not isinstance(exception, Exception):
            return
        with guarded("the exception of a request"):
            if is_peer_error(exception, self._send, self._peer):
                return
            span, redactor = self._span, self._state.redactor
            context = span.get_span_context()
            store_ids(exception, context.trace_id, context.span_id)
            attributes: dict[str, Any] = exception_attributes(exception)
            masked: dict[str, Any] | None = redactor.attributes(attributes)
            span.add_event("exception", masked or attributes)
            span.set_attribute("error.type", type(exception).__qualname__)
            text = redactor.text(f"{type(exception).__name__}: {message(exception)}")
            span.set_status(Status(StatusCode.ERROR, text))

    def close(self) -> None:
        """Set the route and the status of the response on the span, and end it."""
        with guarded("ending a server span"):
            span, status = self._span, self._status_code
            routed = self.routed or self._scope
            route = route_of(routed, self._arrived, routed.get("app"))
            if route:
                span.set_attribute("http.route", route)
                span.update_name(f"{span_method(self._arrived)} {route}")
            if status is not None:
                span.set_attribute("http.response.status_code", status)
                # An exception may have set the error status and a more specific type.
                has_failed = getattr(span, "status", None)
                if status >= _SERVER_ERROR and (
                    has_failed is None or has_failed.status_code is StatusCode.UNSET
                ):
                    span.set_attribute("error.type", str(status))
                    span.set_status(Status(StatusCode.ERROR))
            span.end()


def begin_external(
    tracer: Tracer,
    state: InstrumentationState,
    scope: Scope,
    receive: Receive,
    send: Send,
    base: Context,
    inbound: Inbound | None,
    hook: Hook | None,
) -> tuple[ExternalRequest, Receive, Context]:
    """Begin the span of a request.

    Returns:
        The request, the ``receive`` to use, and the context that the application runs in.
    """
    parent = base if inbound is None else state.propagation.context(inbound, base)
    attributes = request_attributes(scope, state.redactor)
    if state.server_request_headers is not None:
        attributes.update(state.server_request_headers.attributes(scope["headers"]))
    links = [Link(inbound.link)] if inbound is not None and inbound.link is not None else None
    span = tracer.start_span(span_method(scope), parent, SpanKind.SERVER, attributes, links)
    if hook is not None and span.is_recording():
        call_hook(hook, span, scope)
    peer = Peer(receive)
    request = ExternalRequest(state, span, scope, send, peer)
    return request, peer.receive, set_span_in_context(span, parent)


class ExternalCall:
    """One attempt with a span of the external provider."""

    local = None
    """There is no local trace: the external provider samples."""

    measured_from = 0
    measured_span: Span | None = None

    def __init__(self, state: InstrumentationState, span: Span, method: str, url: Url) -> None:
        self.state = state
        self.span = span
        self.method = method
        self.url = url
        self._answered_time: int | None = None

    def restart(self, request: Request) -> None:
        """Restart the attempt at the inner transport that sends the request."""
        self.method, self.url = request.method, request.url
        self.span.set_attributes(call_attributes(request.method, request.url, self.state.redactor))

    def answered(
        self,
        status_code: int,
        extensions: dict[str, bytes],
        headers: Iterable[tuple[bytes, bytes]] | None,
    ) -> None:
        """Record that the response has begun."""
        span = self.span
        self._answered_time = time_ns()
        version = extensions.get("http_version", b"HTTP/1.1").decode("ascii", "ignore")
        span.set_attribute("http.response.status_code", status_code)
        span.set_attribute("network.protocol.version", version.replace("HTTP/", ""))
        captured = self.state.client_response_headers
        if headers is not None and captured is not None:
            span.set_attributes(captured.attributes(headers))
        if status_code >= CLIENT_ERROR:
            span.set_attribute("error.type", str(status_code))
            span.set_status(Status(StatusCode.ERROR))

    def finished(self) -> None:
        """End the span when the response has been read or closed. Its end time is when the response began."""
        self.span.end(self._answered_time)

    def raised(self, exception: BaseException) -> None:
        """Record that the attempt failed before the response or in its body, and end the span."""
        if isinstance(exception, Exception):
            text = self.state.redactor.text(f"{type(exception).__name__}: {message(exception)}")
            self.span.set_attribute("error.type", type(exception).__qualname__)
            self.span.set_status(Status(StatusCode.ERROR, text))
        self.span.end()


def call_external(
    tracer: Tracer, state: InstrumentationState, context: Context, request: Request
) -> ExternalCall:
    """Return an attempt whose span has begun."""
    attributes = call_attributes(request.method, request.url, state.redactor)
    if state.client_request_headers is not None:
        attributes.update(state.client_request_headers.attributes(request.headers.raw))
    span = tracer.start_span(call_name(request.method), context, SpanKind.CLIENT, attributes)
    return ExternalCall(state, span, request.method, request.url)
