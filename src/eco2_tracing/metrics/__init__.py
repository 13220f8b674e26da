"""Metrics of requests, calls and of the application, with exemplars. Off unless ``OTEL_METRICS_EXPORTER`` is set.

`record_metric` is all that most services need. Meters of OpenTelemetry's API work as well.
"""

from __future__ import annotations

from eco2_tracing.metrics._exemplars import current_exemplar
from eco2_tracing.metrics._http import DURATION_BUCKETS
from eco2_tracing.metrics._recording import record_metric

__all__ = ["DURATION_BUCKETS", "current_exemplar", "record_metric"]
