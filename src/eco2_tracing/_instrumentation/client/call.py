"""Records the events of an attempt of an outgoing HTTP call, and describes its span."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode

from eco2_tracing._instrumentation.common.http_attributes import (
    CLIENT_ERROR,
    SERVER_ERROR,
    call_attributes,
    call_name,
)
from eco2_tracing._spans.exceptions import mark_recorded, message
from eco2_tracing._spans.sanitize import class_name, class_qualname

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.http_attributes import Request, Url
    from eco2_tracing._instrumentation.common.state import InstrumentationState
    from eco2_tracing._spans.read_side import Attributes
    from eco2_tracing._spans.span import Span
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
