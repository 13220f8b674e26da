"""The result of one export request, as the OTLP specification reads responses.

Source: https://opentelemetry.io/docs/specs/otlp/ (failures, partial success, throttling)
"""

from __future__ import annotations

import base64
import math
import re
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from eco2_tracing._lazy_imports import lazy_imports
from eco2_tracing._protobuf import fields, nested

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from opentelemetry.sdk.trace import ReadableSpan

Reason = Literal["queue_full", "export_failed", "rejected", "unauthenticated", "unencodable", "shutdown"]
"""Why a span was dropped."""

REASONS: tuple[Reason, ...] = get_args(Reason)

MAX_SERVER_DELAY_S = 60.0
"""Longest delay in seconds that a server may ask for."""

_GRPC_NAMES = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
# "OTLP/gRPC Response, Failures": these are retryable; RESOURCE_EXHAUSTED only with a RetryInfo.
_GRPC_RETRYABLE = frozenset({1, 4, 10, 11, 14, 15})
_GRPC_EXHAUSTED = 8
_GRPC_CREDENTIALS = frozenset({7, 16})
_HTTP_RETRYABLE = frozenset({429, 502, 503, 504})
_HTTP_CREDENTIALS = frozenset({401, 403, 407})
# https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
_GRPC_OF_HTTP = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


EncodedSpan = tuple[bytes, bytes, bytes, bytes, bytes]
"""``ResourceSpans.resource`` and ``.schema_url``, ``ScopeSpans.scope`` and ``.schema_url``, and the ``Span``, all
encoded. The garbage collector does not track tuples of bytes."""


class RefusedError(ConnectionError):
    """The server did not process the request: it may be sent again at once."""


class EncodedBatch(NamedTuple):
    """What one call of an exporter sends.

    Attributes:
        content: An encoded ``ExportTraceServiceRequest``; for SDK exporters the spans themselves.
        spans: Number of spans.
    """

    content: bytes | list[ReadableSpan]
    spans: int


class ExportResult(NamedTuple):
    """The result of one export request.

    Attributes:
        outcome: ``sent``, ``retry`` (worth sending again) or ``dropped`` (not worth it).
        error: The error; empty if there is none.
        reason: Why spans are lost, for ``dropped``.
        rejected: Spans that the server refused of a request that was ``sent``.
        retry_after_s: Seconds that the server asks to wait.
    """

    outcome: Literal["sent", "retry", "dropped"]
    error: str = ""
    reason: Reason = "export_failed"
    rejected: int = 0
    retry_after_s: float | None = None


class DeliveryStats(NamedTuple):
    """Counts of one processor since the process started or was forked.

    Attributes:
        endpoint: Destination, without credentials.
        sent: Spans accepted by the receiver.
        queued: Spans waiting or being exported.
        dropped: Lost spans by reason: ``queue_full``, ``export_failed``, ``rejected``, ``unauthenticated``,
            ``unencodable``, ``shutdown``.
        last_error: Latest failure, or ``None``.
        last_error_at: Its time (UTC), or ``None``.
        failures: Failed requests, those included that were retried or not logged.
    """

    endpoint: str
    sent: int
    queued: int
    dropped: Mapping[str, int]
    last_error: str | None
    last_error_at: datetime | None
    failures: int = 0


def failed(error: str) -> ExportResult:
    """Return the result for a server that could not be reached or did not answer."""
    return ExportResult("retry", error)


def success(body: bytes) -> ExportResult:
    """Return the result that an ``ExportTraceServiceResponse`` states: success, maybe partial."""
    rejected, message = 0, ""
    try:
        for number, value in fields(body):
            if number == 1 and isinstance(value, bytes):
                for inner, content in fields(value):
                    if inner == 1 and isinstance(content, int):
                        rejected = content if content < 1 << 63 else 0  # a negative number
                    elif inner == 2 and isinstance(content, bytes):
                        message = content.decode(errors="replace")
    except ValueError:
        return ExportResult("sent")
    error = f"partial success, {rejected} spans rejected: {message}" if rejected or message else ""
    return ExportResult("sent", error, "rejected", rejected)


def grpc_result(code: int, message: str, trailers: Mapping[str, str]) -> ExportResult:
    """Return the result that a gRPC status other than OK means."""
    name = _GRPC_NAMES[code] if 0 <= code < len(_GRPC_NAMES) else f"status {code}"
    error = f"{name}: {message}" if message else name
    if code in _GRPC_CREDENTIALS:
        return ExportResult("dropped", error, "unauthenticated")
    delay = _retry_delay(trailers)
    if code in _GRPC_RETRYABLE or (code == _GRPC_EXHAUSTED and delay is not None):
        return ExportResult("retry", error, retry_after_s=delay)
    return ExportResult("dropped", error, "rejected")


def grpc_code(text: str) -> int:
    """Parse ``grpc-status``; UNKNOWN (2) if it is not a number."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 2


def grpc_code_of_http(status: int) -> int:
    """Return the gRPC status for an HTTP status, for responses that are not gRPC, such as a proxy's."""
    return _GRPC_OF_HTTP.get(status, 2)


def http_result(status: int, phrase: str, retry_after: str | None, now_s: float) -> ExportResult:
    """Return the result that an HTTP status other than 2xx means.

    Args:
        status: The status code.
        phrase: Its reason phrase.
        retry_after: The ``Retry-After`` header: seconds or a date.
        now_s: The wall clock in seconds since the epoch, which a date is compared with.
    """
    error = f"HTTP {status} {phrase}".rstrip()
    if status in _HTTP_CREDENTIALS:
        return ExportResult("dropped", error, "unauthenticated")
    if status in _HTTP_RETRYABLE:
        return ExportResult("retry", error, retry_after_s=_seconds(retry_after, now_s))
    if 300 <= status < 400:
        error += " (redirects are not followed: the headers may hold credentials)"
    return ExportResult("dropped", error, "rejected")


def _seconds(retry_after: str | None, now_s: float) -> float | None:
    if retry_after is None:
        return None
    try:
        return _bounded(float(retry_after))
    except ValueError:
        # This import takes 10 ms, and dates are rare.
        with lazy_imports():
            from email.utils import parsedate_to_datetime
    try:
        return _bounded(parsedate_to_datetime(retry_after).timestamp() - now_s)
    except (ValueError, OverflowError, OSError, TypeError, IndexError):  # the type differs by Python version
        return None


def _bounded(delay_s: float) -> float:
    return min(max(delay_s, 0.0), MAX_SERVER_DELAY_S) if math.isfinite(delay_s) else 0.0


def _retry_delay(trailers: Mapping[str, str]) -> float | None:
    """Return the delay in ``google.rpc.RetryInfo``, which some servers send alone and others in the status details."""
    try:
        if own := trailers.get("google.rpc.retryinfo-bin"):
            return _delay(_binary(own))
        for number, value in fields(_binary(trailers.get("grpc-status-details-bin", ""))):
            if number == 3 and isinstance(value, bytes):
                detail = dict(fields(value))
                if nested(detail.get(1, b"")).endswith(b"google.rpc.RetryInfo"):
                    return _delay(nested(detail.get(2, b"")))
    except (ValueError, OverflowError):  # includes invalid base64
        return None
    return None


def _delay(retry_info: bytes) -> float:
    delay = dict(fields(nested(dict(fields(retry_info)).get(1, b""))))
    return _bounded(int(delay.get(1, 0)) + int(delay.get(2, 0)) / 1e9)


def _binary(value: str) -> bytes:
    return base64.b64decode(value + "=" * (-len(value) % 4))
