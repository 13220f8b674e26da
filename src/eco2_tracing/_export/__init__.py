"""Delivery: from ended spans to a receiver, bounded and counted."""

from __future__ import annotations

from eco2_tracing._export.batcher import SpanBatcher
from eco2_tracing._export.exporter import OtlpExporter
from eco2_tracing._export.factory import ExportSettings, build_otlp, build_processors
from eco2_tracing._export.stats import DeliveryStats

__all__ = ["DeliveryStats", "ExportSettings", "OtlpExporter", "SpanBatcher", "build_otlp", "build_processors"]
