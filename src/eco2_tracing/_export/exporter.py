"""The OTLP exporters: an encoder, and the channel of a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from eco2_tracing._export.otlp.encoder import SpanEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._export.result import EncodedBatch, EncodedSpan, ExportResult
    from eco2_tracing._export.transport.persistent import Channel

_ERROR_LENGTH = 300


class OtlpSender:
    """Sends encoded requests of one signal over OTLP.

    Args:
        transport: Sends the requests.
        endpoint: Destination for messages, without credentials.
        timeout_s: Seconds for one try.
        secrets: Values masked in error messages, such as those of headers.
    """

    def __init__(
        self,
        transport: Channel,
        *,
        endpoint: str,
        timeout_s: float = 10.0,
        secrets: Sequence[str] = (),
    ) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._timeout_s = timeout_s
        # Longest first: one secret may be part of another.
        self._secrets = sorted(filter(None, secrets), key=len, reverse=True)
        self._reset()

    def _reset(self) -> None:
        """Begin anew, at the start and in a forked child."""

    def send(self, batch: EncodedBatch, timeout_s: float) -> ExportResult:
        """Send one encoded request."""
        result = self._transport.send(cast("bytes", batch.content), min(timeout_s, self._timeout_s))
        return result._replace(error=self._masked(result.error)) if result.error else result

    @property
    def is_answered(self) -> bool:
        """True if the receiver has sent something on the present connection."""
        return self._transport.is_answered

    def cancel(self) -> None:
        """Fail the running call and all later ones."""
        self._transport.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def after_fork(self) -> None:
        """In a forked child: close our copy of the connection. The parent's stays open."""
        self._transport.after_fork()
        self._reset()

    def _masked(self, error: str) -> str:
        """Remove secrets and line breaks from text that a server may have sent."""
        for secret in self._secrets:
            error = error.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in error[:_ERROR_LENGTH])


class OtlpExporter(OtlpSender, SpanExporter):
    """Exports spans over OTLP.

    `SpanBatcher` calls `encode` and `send`, counts and retries. `export`, the SDK's interface, tries once.

    Args:
        transport, endpoint, timeout_s, secrets: As for `OtlpSender`.
    """

    def _reset(self) -> None:
        encoder = SpanEncoder()
        self.encode_span, self.encode = encoder.encode_span, encoder.encode

    def shutdown(self) -> None:
        """Close the connection."""
        self.close()

    def export(self, spans: Sequence[ReadableSpan | EncodedSpan]) -> SpanExportResult:
        """Send spans now, with one try for each request."""
        batches, lost = self.encode(spans)
        results = [self.send(batch, self._timeout_s) for batch in batches]
        complete = not lost and all(one.outcome == "sent" and not one.rejected for one in results)
        return SpanExportResult.SUCCESS if complete else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: nothing is buffered here."""
        return True
