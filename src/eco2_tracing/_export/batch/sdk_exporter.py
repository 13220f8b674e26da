"""Adapter that lets the batch processor drive exporters of the SDK's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from eco2_tracing._export.result import EncodedBatch, ExportResult
from eco2_tracing._guard import result_or_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._export.batch.queue import Queued


class SdkExporter:
    """A `BatchExporter` over any SDK exporter. That exporter encodes, limits its time and retries."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._open = True
        self.endpoint = type(exporter).__name__

    def encode_span(self, span: ReadableSpan) -> Queued:
        """Return the span itself."""
        return span

    def encode(self, spans: Sequence[Queued]) -> tuple[list[EncodedBatch], int]:
        """Return the spans themselves as one batch."""
        return [EncodedBatch(cast("list[ReadableSpan]", list(spans)), len(spans))], 0

    def send(self, batch: EncodedBatch, timeout_s: float) -> ExportResult:
        """Export the batch. These exporters take no time limit."""
        result = result_or_error(self._exporter.export, cast("list[ReadableSpan]", batch.content))
        if isinstance(result, Exception):
            return ExportResult("dropped", f"{type(result).__name__} in the exporter")
        if result is SpanExportResult.SUCCESS:
            return ExportResult("sent")
        return ExportResult("dropped", "the exporter failed")

    def cancel(self) -> None:
        """Shut the exporter down: its interface has no other way to stop a call."""
        self.close()

    def close(self) -> None:
        """Shut the exporter down, once."""
        if self._open:
            self._open = False
            self._exporter.shutdown()

    def after_fork(self) -> None:
        """Do nothing: the exporter handles forks itself."""
