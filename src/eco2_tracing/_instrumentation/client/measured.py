"""Measures outgoing calls of httpx."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

from eco2_tracing._instrumentation.common.http_attributes import CLIENT_ERROR, method_of
from eco2_tracing._instrumentation.common.measured import exported_span
from eco2_tracing._spans.sanitize import class_qualname

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.trace import Span

    from eco2_tracing._instrumentation.common.http_attributes import Request, Url
    from eco2_tracing._instrumentation.common.state import InstrumentationState
    from eco2_tracing.metrics._http import HttpMetrics


class Measurable(Protocol):
    """An attempt of a call.

    Attributes:
        method, url: Of the request.
        span: The attempt's span, or the span around the call.
        measured_from: `perf_counter_ns` at the begin; 0 if it is not measured, or no longer.
        measured_span: The attempt's span, also when it has ended.
    """

    method: str
    url: Url
    span: Any
    measured_from: int
    measured_span: Any


class MeasuredCall:
    """An attempt without a span, which is measured alone.

    Args:
        state: The configuration in force.
        request: The request of httpx.
        span: The span around the call, which stays current.
    """

    local = None
    """There is no local trace that the attempt belongs to."""

    def __init__(self, state: InstrumentationState, request: Request, span: Span) -> None:
        self.state = state
        self.span = span
        self.method, self.url = request.method, request.url
        self.measured_from = 0
        self.measured_span = None

    def restart(self, request: Request) -> None:
        """Restart the attempt at the inner transport that sends the request."""
        self.method, self.url = request.method, request.url

    def answered(
        self,
        status_code: int,
        extensions: dict[str, bytes],
        headers: Iterable[tuple[bytes, bytes]] | None,
    ) -> None:
        """Do nothing: `record_call` records the answer."""

    def finished(self) -> None:
        """Do nothing: the body is not measured."""

    def raised(self, exception: BaseException) -> None:
        """Do nothing: `record_failed_call` records the failure."""


def begin_measuring(attempt: Measurable) -> None:
    """Start the clock of an attempt, which begins now."""
    attempt.measured_from = perf_counter_ns()
    if type(attempt) is not MeasuredCall:
        attempt.measured_span = attempt.span


def record_call(metrics: HttpMetrics, attempt: Measurable, status: int, version: object) -> None:
    """Record an attempt whose response has begun. As for its span, the body is not measured."""
    error = str(status) if status >= CLIENT_ERROR else None
    text = version.decode("ascii", "ignore") if isinstance(version, bytes) else "HTTP/1.1"
    _record(metrics, attempt, status, text.replace("HTTP/", ""), error)


def record_failed_call(metrics: HttpMetrics, attempt: Measurable, exception: BaseException) -> None:
    """Record an attempt without a response. One whose body broke off has been recorded."""
    _record(metrics, attempt, None, None, class_qualname(type(exception)))


def _record(
    metrics: HttpMetrics, attempt: Measurable, status: int | None, version: str | None, error: str | None
) -> None:
    started, attempt.measured_from = attempt.measured_from, 0
    if not started:
        return
    url = attempt.url
    key = (method_of(attempt.method), url.host or None, url.port, status, version, error)
    metrics.client.record(key, (perf_counter_ns() - started) / 1e9, exported_span(attempt.measured_span))
    metrics.touch()
