"""Sends a test span, looks for it in Jaeger, and compares the clocks."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from eco2_tracing._doctor.endpoint import EndpointCheck, proxy_unreachable
from eco2_tracing._doctor.finding import PAGE, SUBJECT, Facts, Finding, connection_error
from eco2_tracing._export.factory import build_otlp
from eco2_tracing._export.result import EncodedBatch, ExportResult
from eco2_tracing._resource import build_resource
from eco2_tracing._settings import shown_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.trace import Span

    from eco2_tracing._export.exporter import OtlpExporter

_SEND_S, _FIND_S, _PAUSE_S, _ANSWER_S = 4.0, 4.0, 0.2, 2.0
_SKEW_S = 60.0
_LONGEST = 16 << 20  # bytes of a response: Envoy's configuration in a large mesh
_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"


def test_span(facts: Facts) -> Span:
    """Return an ended span of this service that says where it comes from."""
    provider = TracerProvider(
        sampler=ALWAYS_ON, resource=build_resource(facts.settings), shutdown_on_exit=False
    )
    span = provider.get_tracer("eco2_tracing.doctor").start_span("eco2-tracing doctor")
    span.set_attribute("eco2_tracing.doctor", True)
    span.end()
    return span


def check_delivery(facts: Facts) -> Iterator[Finding]:
    """Send one span, or an empty request where none may be sent, and yield what the receiver objects to."""
    span = test_span(facts)
    otlp = facts.settings.otlp
    # A timeout that is too short is a finding of its own.
    exporter = build_otlp(replace(otlp, timeout_s=max(otlp.timeout_s, _SEND_S)))
    begun = facts.clock()
    try:
        result = _sent(exporter, span, facts)
    finally:
        exporter.close()
    took_ms = (facts.clock() - begun) * 1000
    finding = _of_result(facts, result)
    if finding is not None:
        if finding.id in _UNCLEAR and otlp.insecure and EndpointCheck(facts, otlp).speaks_tls():
            finding = _mismatch(_TLS_PORT, finding.found)
        yield finding
    elif facts.sends:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        facts.test_span = f"accepted in {took_ms:.0f} ms, trace id {trace_id}"
        if facts.jaeger is not None:
            yield from _find_in_jaeger(facts, trace_id)
    else:
        facts.test_span = f"not sent; an empty request was accepted in {took_ms:.0f} ms"
    if finding is None:
        yield from _check_clock(facts)


def _sent(exporter: OtlpExporter, span: Span, facts: Facts) -> ExportResult:
    limit_s = facts.left(_SEND_S)
    if not facts.sends:
        return exporter.send(EncodedBatch(b"", 0), limit_s)
    assert isinstance(span, ReadableSpan)  # noqa: S101 - the SDK's span, always sampled
    batches, _ = exporter.encode([span])
    return exporter.send(batches[0], limit_s)


def _of_result(facts: Facts, result: ExportResult) -> Finding | None:
    otlp = facts.settings.otlp
    endpoint = shown_endpoint(otlp.endpoint)
    error = f"{endpoint}: {result.error}"
    if result.outcome == "sent":
        return _of_sent(error, result)
    if result.reason == "unauthenticated":
        return _of_credentials(facts, error)
    for text, kind in _MISMATCHES.items():
        if text in result.error:
            return _mismatch(kind, error)
    if "the proxy" in result.error:
        return proxy_unreachable(otlp, error)
    if any(text in result.error for text in _RESETS):
        return _mismatch(_CLOSED, error)
    if "timed out" in result.error.lower() or "DEADLINE_EXCEEDED" in result.error:
        return connection_error(
            "no-answer",
            error,
            "The server accepts connections and does not answer the request.",
            f"Look at the collector's log, or correct {SUBJECT}.",
        )
    if "HTTP 404" in result.error or "UNIMPLEMENTED" in result.error:
        return connection_error(
            "not-otlp",
            error,
            "The server has no receiver for traces at this address.",
            f"Correct host, port and path in {SUBJECT}. /v1/traces is appended to it with http/protobuf.",
        )
    return connection_error(
        "not-accepted",
        error,
        "The receiver does not accept the spans.",
        "Look at the receiver's log.",
    )


_TLS_PORT = "plaintext-to-tls-port"
_CLOSED = "closed-without-answer"
_UNCLEAR = frozenset({_CLOSED, "not-accepted"})
# What the transports say, and the problem and the cure of each kind.
_MISMATCHES = {
    "no HTTP/2 is spoken there": "grpc-to-http-port",
    "HTTP/2 is spoken there": "http-to-grpc-port",
    "TLS is expected there": _TLS_PORT,
    "closed the connection without an answer": _CLOSED,
}
# A server that closes without reading the whole request resets the connection.
_RESETS = (os.strerror(errno.ECONNRESET), os.strerror(errno.EPIPE))
_CURES = {
    "grpc-to-http-port": (
        "OTLP over gRPC is sent to a port that does not speak HTTP/2.",
        "Set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or use the port of gRPC, usually 4317.",
    ),
    "http-to-grpc-port": (
        "OTLP over HTTP is sent to a port of gRPC.",
        "Set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or use the port of HTTP, usually 4318.",
    ),
    _TLS_PORT: ("Plaintext is sent to a server that expects TLS.", f"Write https:// in {SUBJECT}."),
    _CLOSED: (
        "The server closes the connection: it speaks another protocol.",
        f"Correct {SUBJECT} and OTEL_EXPORTER_OTLP_PROTOCOL.",
    ),
}


def _mismatch(kind: str, found: str) -> Finding:
    return connection_error(kind, found, *_CURES[kind])


def _of_sent(error: str, result: ExportResult) -> Finding | None:
    if result.rejected:
        return connection_error(
            "partial-success",
            error,
            "The collector answers with success and drops the spans.",
            "Look at the collector's log: a processor or a limit drops them.",
        )
    if result.error:
        return Finding(
            "collector-message",
            "warning",
            SUBJECT,
            error,
            "The collector accepts the spans with a message.",
            "Look at the collector's log.",
            PAGE,
        )
    return None


def _of_credentials(facts: Facts, error: str) -> Finding:
    if facts.settings.otlp.headers:
        return connection_error(
            "wrong-credentials",
            error,
            f"The receiver does not accept the credentials in {_HEADERS}.",
            f"Renew the token in {_HEADERS}. Its form is authorization=Bearer%20<token>.",
            subject=_HEADERS,
        )
    return connection_error(
        "missing-credentials",
        error,
        "The receiver asks for credentials, and none are set.",
        f"Set {_HEADERS}=authorization=Bearer%20<token>, from a Secret.",
        subject=_HEADERS,
    )


class _Answer(NamedTuple):
    """An HTTP response: status, body, and the ``Date`` header."""

    status: int
    body: bytes
    date: str | None


def get(url: str, limit_s: float) -> _Answer:
    """Return the response to a GET request, without proxies.

    Raises:
        OSError: There is none.
    """
    parts = urlsplit(url)
    make = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=limit_s)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        response = connection.getresponse()
        return _Answer(response.status, response.read(_LONGEST), response.getheader("Date"))
    except HTTPException as error:
        raise ConnectionError(f"no HTTP response ({type(error).__name__})") from None
    finally:
        connection.close()


def _find_in_jaeger(facts: Facts, trace_id: str) -> Iterator[Finding]:
    """Look for the test span until it is there. Jaeger's API v3 answers 404 for a trace that it does not have."""
    url = f"{str(facts.jaeger).rstrip('/')}/api/v3/traces/{trace_id}"
    deadline = facts.clock() + facts.left(_FIND_S)
    answer: _Answer | None = None
    while answer is None or facts.clock() < deadline:
        try:
            answer = get(url, facts.left(_ANSWER_S))
        except (OSError, ValueError) as error:
            yield Finding(
                "jaeger-unreachable",
                "error",
                "--jaeger",
                f"{facts.jaeger}: {error}",
                "The test span was accepted and cannot be looked for.",
                "Give the address of Jaeger's query service, usually http://<host>:16686.",
                "docs/troubleshooting/index.md",
            )
            return
        if answer.status == 200 and _holds(answer.body):
            facts.test_span += ", found in Jaeger"
            return
        time.sleep(_PAUSE_S)
    yield Finding(
        "span-not-found",
        "error",
        "--jaeger",
        f"{url}: HTTP {answer.status}",
        "The collector accepted the test span, and Jaeger does not have it.",
        "Look at the exporters and the sampling of the collector: it may send traces to another backend.",
        "docs/troubleshooting/index.md",
    )


def _holds(body: bytes) -> bool:
    try:
        return bool(json.loads(body).get("result", {}).get("resourceSpans"))
    except (ValueError, AttributeError):
        return False


def _check_clock(facts: Facts) -> Iterator[Finding]:
    """Compare the clock with the ``Date`` of the receiver's or Jaeger's HTTP responses."""
    otlp = facts.settings.otlp
    url = facts.jaeger or (otlp.endpoint if otlp.protocol == "http/protobuf" and otlp.insecure else None)
    if url is None:
        return
    try:
        before = time.time()
        date = get(url, facts.left(_ANSWER_S)).date
        there = parsedate_to_datetime(date or "").timestamp()
    except (OSError, ValueError, TypeError):
        return
    skew_s = there - before
    if abs(skew_s) > _SKEW_S:
        ahead = "behind" if skew_s > 0 else "ahead of"
        yield Finding(
            "clock-skew",
            "warning",
            "clock",
            f"this clock is {abs(skew_s):.0f} s {ahead} that of {shown_endpoint(url)}",
            "Spans stand at the wrong time: searches for the last hour miss them, and children begin before parents.",
            "Synchronize the clocks of the nodes (NTP).",
            "docs/troubleshooting/index.md",
        )
