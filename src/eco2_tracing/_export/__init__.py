"""Delivery: from ended spans to a receiver, bounded and counted."""

from __future__ import annotations

from eco2_tracing._export.batch.processor import SpanBatcher
from eco2_tracing._export.batch.stats import DeliveryStats
from eco2_tracing._export.exporter import OtlpExporter
from eco2_tracing._export.factory import ExportSettings, build_otlp, build_processors

__all__ = ["DeliveryStats", "ExportSettings", "OtlpExporter", "SpanBatcher", "build_otlp", "build_processors"]
