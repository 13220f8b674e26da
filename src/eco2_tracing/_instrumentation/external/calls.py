"""Traces calls of httpx under an external provider. Uses only the OpenTelemetry API."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, Status, StatusCode

from eco2_tracing._instrumentation.common.http_attributes import CLIENT_ERROR, call_attributes, call_name
from eco2_tracing._spans.exceptions import message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from eco2_tracing._instrumentation.common.http_attributes import Request, Url
    from eco2_tracing._instrumentation.common.state import InstrumentationState


class ExternalCall:
    """One attempt with a span of the external provider.

    Args:
        state: The configuration in force.
        span: The span.
        url: The URL of the request.
    """

    local = None
    """There is no local trace: the external provider samples."""

    def __init__(self, state: InstrumentationState, span: Span, url: Url) -> None:
        self.state = state
        self.span = span
        self.url = url
        self._answered_time: int | None = None

    def restart(self, request: Request) -> None:
        """Restart the attempt at the inner transport that sends the request."""
        self.url = request.url
        self.span.set_attributes(call_attributes(request.method, request.url, self.state.redactor))

    def answered(
        self,
        status_code: int,
        extensions: dict[str, bytes],
        headers: Iterable[tuple[bytes, bytes]] | None,
    ) -> None:
        """Record that the response has begun.

        Args:
            status_code: The status code of the response.
            extensions: The extensions of httpx, which contain the HTTP version.
            headers: The raw headers of the response if they are captured; ``None`` otherwise.
        """
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


class CallExternal:
    """Begins attempts with spans of an external provider.

    Args:
        tracer: The provider's tracer.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def __call__(self, state: InstrumentationState, context: Context, request: Request) -> ExternalCall:
        """Return an attempt whose span has begun.

        Args:
            state: The configuration in force.
            context: The context in which the call is made.
            request: The request of httpx.
        """
        attributes = call_attributes(request.method, request.url, state.redactor)
        if state.client_request_headers is not None:
            attributes.update(state.client_request_headers.attributes(request.headers.raw))
        span = self._tracer.start_span(call_name(request.method), context, SpanKind.CLIENT, attributes)
        return ExternalCall(state, span, request.url)
