"""Exports log records over OTLP, encoded by the official encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from eco2_tracing._compat.otlp import log_encoder
from eco2_tracing._export.batch.batcher import Batcher
from eco2_tracing._export.exporter import OtlpSender
from eco2_tracing._export.otlp.encoder import MAX_REQUEST_BYTES
from eco2_tracing._export.result import EncodedBatch
from eco2_tracing._export.signal import LOGS
from eco2_tracing._guard import internal_failure

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord

    from eco2_tracing._export.batch.queue import Queued
    from eco2_tracing._export.destinations import Destinations
    from eco2_tracing._settings import Settings


class LogsSender(OtlpSender):
    """Encodes and sends log records."""

    def _reset(self) -> None:
        self._encode = log_encoder()

    def encode(self, items: Sequence[Queued]) -> tuple[list[EncodedBatch], int]:
        """Return the requests of a batch, and the number of records that cannot be encoded."""
        records = cast("list[ReadableLogRecord]", list(items))
        batches = list(encoded(records, self._encode))
        return batches, len(records) - sum(batch.spans for batch in batches)

    def _masked(self, error: str) -> str:
        return super()._masked(error.replace(" spans rejected", " log records rejected"))


def encoded(
    records: Sequence[ReadableLogRecord],
    encode: Callable[[Sequence[Any]], Any],
    limit: int = MAX_REQUEST_BYTES,
) -> Iterator[EncodedBatch]:
    """Yield requests of limited size. Records that cannot be encoded, or are too large by themselves, are left out.

    Args:
        records: The log records.
        encode: The official encoder.
        limit: Bytes of one request.
    """
    try:
        request: bytes = encode(records).SerializeToString()
        if len(request) <= limit:
            yield EncodedBatch(request, len(records))
            return
    except Exception:  # noqa: BLE001 - values of the application; the others are sent
        internal_failure("encoding log records; a record is left out")
    middle = len(records) // 2
    if middle:
        yield from encoded(records[:middle], encode, limit)
        yield from encoded(records[middle:], encode, limit)


def build_logs(settings: Settings, destinations: Destinations) -> Batcher:
    """Build the queue and the exporter of log records.

    Args:
        settings: The settings.
        destinations: Connections that other signals may share.

    Raises:
        ValueError: The endpoint's scheme is not supported.
    """
    return Batcher(
        destinations.sender(LogsSender, settings.otlp_logs, LOGS),
        schedule_delay_s=settings.blrp_schedule_delay / 1000,
        max_queue_size=settings.blrp_max_queue_size,
        max_batch_size=settings.blrp_max_export_batch_size,
        export_timeout_s=settings.blrp_export_timeout / 1000,
        signal=LOGS,
    )
