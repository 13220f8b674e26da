"""The OTLP exporter: encoder and transport together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from eco2_tracing._export.batch.worker import EncodedBatch
from eco2_tracing._export.otlp.encoder import SpanEncoder
from eco2_tracing._export.result import ExportResult
from eco2_tracing._export.transport.connection import idle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

_ERROR_LENGTH = 300


class Transport(Protocol):
    """Carries encoded requests to one receiver."""

    def send(self, body: bytes, timeout_s: float, meanwhile: Callable[[], None] = idle) -> ExportResult:
        """Send one request, within the time; never raises for what the network or the server does.

        Args:
            body: An encoded ``ExportTraceServiceRequest``.
            timeout_s: Seconds for all of it.
            meanwhile: Called now and then while the server takes its time.
        """

    def cancel(self) -> None:
        """From another thread: fail the running call and all later ones."""

    def close(self) -> None:
        """Close the connection; a later request opens another."""


class OtlpExporter(SpanExporter):
    """Exports spans over OTLP.

    Made for `SpanBatcher`, which retries and keeps count; by itself it tries once, as any SDK exporter may be asked to.

    Args:
        transport: Carries the requests.
        endpoint: Where to, for people: without credentials.
        timeout_s: Seconds for one try.
        secrets: Texts that must not show in an error, such as header values.
    """

    def __init__(
        self, transport: Transport, *, endpoint: str, timeout_s: float = 10.0, secrets: Sequence[str] = ()
    ) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._timeout_s = timeout_s
        # The longest first: one secret may be a part of another.
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        self._encoder = SpanEncoder()

    def prepare(self, span: ReadableSpan) -> Any:
        """Encode a span before its batch is complete; see `SpanEncoder.prepare`."""
        return self._encoder.prepare(span)

    def pack(self, spans: Sequence[Any]) -> tuple[list[EncodedBatch], int]:
        """Encode a batch; see `SpanEncoder.encode`."""
        requests, lost = self._encoder.encode(spans)
        return [EncodedBatch(request.body, request.spans) for request in requests], lost

    def send(
        self, package: EncodedBatch, timeout_s: float, meanwhile: Callable[[], None] = idle
    ) -> ExportResult:
        """Send one encoded request."""
        reply = self._transport.send(package.content, min(timeout_s, self._timeout_s), meanwhile)
        if not reply.error:
            return reply
        return ExportResult(
            reply.outcome, self._clean(reply.error), reply.reason, reply.rejected, reply.retry_after_s
        )

    def cancel(self) -> None:
        """Fail the running call and all later ones."""
        self._transport.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def forget(self) -> None:
        """In a forked child: close our copy of the connection; the parent's stays open."""
        self._transport.close()
        self._encoder = SpanEncoder()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans now, one try each request."""
        packages, lost = self.pack(spans)
        replies = [self.send(package, self._timeout_s) for package in packages]
        complete = not lost and all(reply.outcome == "sent" and not reply.rejected for reply in replies)
        return SpanExportResult.SUCCESS if complete else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection."""
        self.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: nothing is buffered here."""
        return True

    def _clean(self, error: str) -> str:
        """Keep a server's text from leaking secrets or breaking log lines."""
        for secret in self._secrets:
            error = error.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in error[:_ERROR_LENGTH])
