"""Converts what `_histograms` aggregates to the data types of the SDK."""

from __future__ import annotations

from collections.abc import Sequence
from time import time_ns
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from eco2_tracing.metrics._histograms import ActiveCount, Durations, Store


def histogram(durations: Durations, store: Store) -> Metric | None:
    """Return the durations of one store; ``None`` if there are none."""
    now = time_ns()
    points = [
        HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=cell.started,
            time_unix_nano=now,
            count=cell.count,
            sum=cell.total,
            bucket_counts=cell.buckets,
            explicit_bounds=durations.bounds,
            min=cell.least,
            max=cell.greatest,
            exemplars=[
                Exemplar({}, value, time, span_id, trace_id)
                for value, time, span_id, trace_id in cell.exemplars.values()
            ],
        )
        for attributes, cell in durations.collect(store)
    ]
    temporality = AggregationTemporality.DELTA if store.is_delta else AggregationTemporality.CUMULATIVE
    return _metric(durations, Histogram(points, temporality)) if points else None


def active_sum(active: ActiveCount) -> Metric | None:
    """Return the numbers of active requests. The sum is cumulative whatever the preference, as specified."""
    now = time_ns()
    points = [NumberDataPoint(attributes, active.since, now, count) for attributes, count in active.collect()]
    data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=False)
    return _metric(active, data) if points else None


def _metric(instrument: Durations | ActiveCount, data: Histogram | Sum) -> Metric:
    name, unit, description = instrument.named
    return Metric(name, description, unit, data)


def merged(
    data: MetricsData | None, further: Sequence[ScopeMetrics], resource: Resource
) -> MetricsData | None:
    """Return the data of the SDK with further scopes; ``None`` if there is neither."""
    scopes = [each for one in data.resource_metrics for each in one.scope_metrics] if data is not None else []
    scopes += [each for each in further if each.metrics]
    return MetricsData([ResourceMetrics(resource, scopes, resource.schema_url)]) if scopes else None
