"""The span of one attempt of an outgoing HTTP call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind, Status, StatusCode

from eco2_tracing._instrumentation.common.http_attributes import method_of
from eco2_tracing._spans.exceptions import is_first_record, message
from eco2_tracing._spans.sanitize import name_of, qualname_of
from eco2_tracing._spans.span import Span

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from eco2_tracing._instrumentation.common.state import InstrumentationState
    from eco2_tracing._redaction import Redactor
    from eco2_tracing._spans.read_side import SpanSource
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

_ERROR = Status(StatusCode.ERROR)
_CLIENT_ERROR = 400
_SERVER_ERROR = 500


class ClientSpan(Span):
    """The span of one attempt.

    It keeps what the attributes are derived from, never the request or the response themselves:
    their bodies must not live as long as the span.

    Args:
        engine: The configuration in force.
        source: What all client spans share.
        context: The span's own context.
        parent: The current span's context; ``None`` for a root.
        local: The local trace that the span belongs to.
        method: The request's method.
        url: The request's URL.
    """

    _kind = SpanKind.CLIENT
    _status_code: int | None = None
    _version: str | None = None
    _error_type: str | None = None
    _answered_time: int | None = None
    _request_headers: Any = None
    _response_headers: Any = None

    def __init__(
        self,
        engine: InstrumentationState,
        source: SpanSource,
        context: SpanContext,
        parent: SpanContext | None,
        local: LocalTrace,
        method: str,
        url: Any,
    ) -> None:
        self._engine = engine
        self._source = source
        self._context = context
        self._parent = parent
        self._eco2_local = local
        self._method = method
        self._url = url
        self._start_time = local.now()

    @property
    def current(self) -> ClientSpan:
        """The span that is current during the attempt."""
        return self

    def restart(self, request: Any) -> None:
        """Begin anew at the transport that really sends the request.

        Args:
            request: What it sends.
        """
        self._method = request.method
        self._url = request.url
        self._start_time = self._eco2_local.now()
        if self._engine.client_request_headers is not None:
            self._request_headers = request.headers.raw

    def answered(self, status_code: int, extensions: dict[str, Any], headers: Any) -> None:
        """The response has begun.

        Args:
            status_code: The response's status.
            extensions: httpx's; the HTTP version is there.
            headers: The response's raw headers, where they are captured.
        """
        self._status_code = status_code
        self._version = extensions.get("http_version")
        self._response_headers = headers
        self._answered_time = self._eco2_local.now()
        if status_code >= _CLIENT_ERROR and self._status.status_code is StatusCode.UNSET:
            self._status = _ERROR
            if status_code >= _SERVER_ERROR:
                self._eco2_local.failed(self)  # the next attempt sends sampled=1, before this body is read

    def finished(self) -> None:
        """The response has been read or closed: end the span at the time when the response began."""
        if self._end_time is None:
            self._end_time = self._answered_time or self._eco2_local.now()
            self._eco2_local.ended(self)

    def raised(self, exception: BaseException) -> None:
        """The attempt failed before a response or in its body: end the span."""
        if isinstance(exception, Exception) and self._end_time is None:
            self._error_type = qualname_of(type(exception))  # with itself, its frames would be kept
            if self._eco2_local.keep("error"):
                is_first_record(
                    exception, self._eco2_local.trace_id
                )  # manual spans around it write no second event
                self.record_exception(exception, timestamp=self._eco2_local.now())
            self._status = Status(StatusCode.ERROR, f"{name_of(type(exception))}: {message(exception)}")
        self.end()

    def _derive_name(self) -> str:
        method = method_of(self._method)
        return "HTTP" if method == "_OTHER" else method

    def _derive_attributes(self) -> dict[str, Any]:
        attributes = call_attributes(self._method, self._url, self._engine.redactor)
        status = self._status_code
        if status is not None:
            attributes["http.response.status_code"] = status
            if status >= _CLIENT_ERROR:
                attributes["error.type"] = str(status)
        version: Any = self._version
        if status is not None:
            version = version.decode("ascii", "ignore") if isinstance(version, bytes) else "HTTP/1.1"
            attributes["network.protocol.version"] = version.replace("HTTP/", "")
        if self._error_type is not None:
            attributes["error.type"] = self._error_type
        engine = self._engine
        if engine.client_request_headers is not None and self._request_headers is not None:
            attributes.update(engine.client_request_headers.attributes(self._request_headers))
        if engine.client_response_headers is not None and self._response_headers is not None:
            attributes.update(engine.client_response_headers.attributes(self._response_headers))
        return attributes


def call_attributes(method: str, url: Any, redactor: Redactor) -> dict[str, Any]:
    """The attributes that are known before a call is made.

    Args:
        method: The request's method.
        url: The request's URL.
        redactor: Masks secrets in the URL.
    """
    known = method_of(method)
    attributes: dict[str, Any] = {"http.request.method": known, "url.full": redactor.url(str(url))}
    if known == "_OTHER":
        attributes["http.request.method_original"] = method
    if url.host:
        attributes["server.address"] = attributes["network.peer.address"] = url.host
    if url.port:
        attributes["server.port"] = attributes["network.peer.port"] = url.port
    return attributes
