"""Calls of httpx under a tracer provider that somebody else installed: through the API alone."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, Status, StatusCode

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.client.span import call_attributes
from eco2_tracing._instrumentation.common.http_attributes import method_of
from eco2_tracing._instrumentation.common.outgoing_headers import write_headers
from eco2_tracing._spans.exceptions import message

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from eco2_tracing._instrumentation.common.state import InstrumentationState

_CLIENT_ERROR = 400


class _NoLocalTrace:
    """What stands where our own spans have their local trace: sampling is the other provider's."""

    state = None
    root = None


class ExternalCall:
    """One attempt; it is used in the place of a ``ClientSpan``.

    Args:
        engine: The configuration in force.
        span: The other provider's.
    """

    _eco2_local = _NoLocalTrace

    def __init__(self, engine: InstrumentationState, span: Span) -> None:
        self._engine = engine
        self._answered_time: int | None = None
        self.current = span

    def restart(self, request: Any) -> None:
        """Begin anew at the transport that really sends the request."""
        attributes: Any = call_attributes(request.method, request.url, self._engine.redactor)
        self.current.set_attributes(attributes)

    def answered(self, status_code: int, extensions: dict[str, Any], headers: Any) -> None:
        """The response has begun.

        Args:
            status_code: The response's status.
            extensions: httpx's; the HTTP version is there.
            headers: The response's raw headers, where they are captured.
        """
        span = self.current
        self._answered_time = time_ns()
        version = extensions.get("http_version", b"HTTP/1.1").decode("ascii", "ignore")
        attributes: dict[str, Any] = {"http.response.status_code": status_code}
        attributes["network.protocol.version"] = version.replace("HTTP/", "")
        if headers is not None and self._engine.client_response_headers is not None:
            attributes.update(self._engine.client_response_headers.attributes(headers))
        if status_code >= _CLIENT_ERROR:
            attributes["error.type"] = str(status_code)
            span.set_status(Status(StatusCode.ERROR))
        span.set_attributes(attributes)

    def finished(self) -> None:
        """The response has been read or closed: end the span at the time when the response began."""
        self.current.end(self._answered_time)

    def raised(self, exception: BaseException) -> None:
        """The attempt failed before a response or in its body: end the span."""
        if isinstance(exception, Exception):
            text = self._engine.redactor.text(f"{type(exception).__name__}: {message(exception)}")
            self.current.set_attribute("error.type", type(exception).__qualname__)
            self.current.set_status(Status(StatusCode.ERROR, text))
        self.current.end()


def begin_external_call(
    engine: InstrumentationState, tracer: Tracer, context: Context, request: Any
) -> ExternalCall:
    """Begin the span of an attempt and write its headers.

    Args:
        engine: The configuration in force.
        tracer: The other provider's tracer.
        context: The context that the call is made in.
        request: httpx's; its headers are changed.

    Returns:
        The attempt.
    """
    attributes: Any = call_attributes(request.method, request.url, engine.redactor)
    if engine.client_request_headers is not None:
        attributes.update(engine.client_request_headers.attributes(request.headers.raw))
    method = method_of(request.method)
    span = tracer.start_span("HTTP" if method == "_OTHER" else method, context, SpanKind.CLIENT, attributes)
    try:
        write_headers(engine, request, span.get_span_context(), context)
    except Exception:  # noqa: BLE001 - the call must go out
        internal_failure("an outgoing call")
    return ExternalCall(engine, span)
