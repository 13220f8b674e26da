"""Exporters of the SDK's kind, as a batch processor drives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from eco2_tracing._export.batch.worker import BatchExporter, EncodedBatch
from eco2_tracing._export.result import ExportResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan


def batch_exporter_for(exporter: SpanExporter) -> BatchExporter:
    """Return the exporter itself where it is one of ours, else an adapter."""
    return cast("BatchExporter", exporter) if hasattr(exporter, "pack") else SdkExporter(exporter)


class SdkExporter:
    """Drives any SDK exporter: it encodes, bounds and retries by itself, and tells success or failure.

    Args:
        exporter: The exporter.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._open = True
        self.endpoint = type(exporter).__name__

    def prepare(self, span: ReadableSpan) -> Any:
        """Keep the span as it is."""
        return span

    def pack(self, spans: Sequence[ReadableSpan]) -> tuple[list[EncodedBatch], int]:
        """Keep the spans as they are."""
        return [EncodedBatch(list(spans), len(spans))], 0

    def send(self, package: EncodedBatch, timeout_s: float, meanwhile: Callable[[], None]) -> ExportResult:
        """Export the batch; neither a time nor what to do meanwhile means anything to these exporters."""
        try:
            result = self._exporter.export(package.content)
        except Exception as error:  # noqa: BLE001 - code of others
            return ExportResult("dropped", f"{type(error).__name__} in the exporter")
        if result is SpanExportResult.SUCCESS:
            return ExportResult("sent")
        return ExportResult("dropped", "the exporter failed")

    def cancel(self) -> None:
        """Shut the exporter down, which is the only way to stop it."""
        self.close()

    def close(self) -> None:
        """Shut the exporter down."""
        if self._open:
            self._open = False
            self._exporter.shutdown()

    def forget(self) -> None:
        """Do nothing: what a fork means to the exporter, it must know itself."""
