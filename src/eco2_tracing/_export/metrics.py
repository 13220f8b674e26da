"""Exports metrics over OTLP, encoded by the official encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

from eco2_tracing._export.batch.batcher import Batcher
from eco2_tracing._export.batch.queue import SHARES
from eco2_tracing._export.exporter import OtlpSender
from eco2_tracing._export.otlp.encoder import MAX_REQUEST_BYTES
from eco2_tracing._export.result import EncodedBatch
from eco2_tracing._export.signal import METRICS
from eco2_tracing._guard import internal_failure

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

    from eco2_tracing._export.batch.queue import Queued
    from eco2_tracing._export.destinations import Destinations
    from eco2_tracing._settings import Settings

MOST_WAITING = 8
"""Requests that wait while the collector is away. Cumulative metrics lose nothing with an older request."""


class MetricsSender(OtlpSender):
    """Sends encoded requests. An item of the queue is one request."""

    def encode(self, items: Sequence[Queued]) -> tuple[list[EncodedBatch], int]:
        """Return the requests."""
        return [EncodedBatch(cast("bytes", item), 1) for item in items], 0

    def _masked(self, error: str) -> str:
        return super()._masked(error.replace(" spans rejected", " data points rejected"))


class MetricsExporter:
    """Encodes collected metrics and queues them for export.

    Args:
        settings: The settings.
        destinations: Connections that other signals may share.

    Raises:
        ValueError: The endpoint's scheme is not supported.
    """

    def __init__(self, settings: Settings, destinations: Destinations) -> None:
        self.batcher = Batcher(
            destinations.sender(MetricsSender, settings.otlp_metrics, METRICS),
            max_queue_size=MOST_WAITING,
            max_batch_size=1,  # a request is complete: it does not wait for others
            export_timeout_s=settings.metric_export_timeout / 1000,
            byte_limit=SHARES * MAX_REQUEST_BYTES,
            signal=METRICS,
        )

    def deliver(self, data: MetricsData) -> None:
        """Encode and queue. A metric that cannot be encoded, or that is too large for a request, is left out."""
        for request in encoded(data):
            self.batcher.put(request, len(request))


def encoded(
    data: MetricsData,
    limit: int = MAX_REQUEST_BYTES,
    encode: Callable[[MetricsData], bytes] = lambda data: encode_metrics(data).SerializeToString(),
) -> Iterator[bytes]:
    """Yield requests of limited size. A metric that cannot be encoded, or exceeds the limit alone, is left out.

    Args:
        data: The metrics of one resource.
        limit: Bytes of one request.
        encode: Encodes one request.
    """
    try:
        request = encode(data)
        if len(request) <= limit:
            yield request
            return
    except Exception:  # noqa: BLE001 - values of the application; the others are sent
        internal_failure("encoding metrics; a metric is left out")
    for half in _halves(data):
        yield from encoded(half, limit, encode)


def _halves(data: MetricsData) -> Iterator[MetricsData]:
    """Yield two halves of the metrics; nothing for a single one."""
    (resource,) = data.resource_metrics
    metrics = [(scope, metric) for scope in resource.scope_metrics for metric in scope.metrics]
    middle = len(metrics) // 2
    for part in (metrics[:middle], metrics[middle:]) if middle else ():
        # The encoder takes the last of two entries of one scope.
        scopes = [
            replace(scope, metrics=[metric for of, metric in part if of is scope])
            for scope in {id(scope): scope for scope, _ in part}.values()
        ]
        yield replace(data, resource_metrics=[replace(resource, scope_metrics=scopes)])
