"""Export: from ended spans to a receiver, bounded and counted."""

from __future__ import annotations

from eco2_tracing._export.batch.processor import SpanBatcher
from eco2_tracing._export.exporter import OtlpExporter
from eco2_tracing._export.factory import build_otlp, build_processors
from eco2_tracing._export.result import DeliveryStats

__all__ = ["DeliveryStats", "OtlpExporter", "SpanBatcher", "build_otlp", "build_processors"]
