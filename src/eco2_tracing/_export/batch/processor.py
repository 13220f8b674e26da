"""The span processor that batches and exports."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from eco2_tracing._export.batch.batcher import Batcher
from eco2_tracing._export.batch.queue import LargeItem
from eco2_tracing._export.batch.sdk_exporter import SdkExporter
from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._guard import internal_failure, log_pending, pending
from eco2_tracing._readable_span import SMALL, is_small, pruned_span, span_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._export.batch.queue import Queued
    from eco2_tracing._export.batch.worker import BatchExporter, SpanEncoding


class SpanBatcher(Batcher, BatchSpanProcessor):  # type: ignore[misc] # the SDK's `shutdown` takes and returns nothing
    """Queues ended spans and exports them in a thread of its own.

    It is a subclass so that ``isinstance`` checks work; every method is replaced. The SDK's processor logs on the
    request path, ignores the flush timeout, and takes up to 30 s to shut down.

    Args:
        exporter: The exporter.
        schedule_delay_s, max_queue_size, max_batch_size, export_timeout_s, clock: As for `Batcher`.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        schedule_delay_s: float = 1.0,
        max_queue_size: int = 2048,
        max_batch_size: int = 512,
        export_timeout_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exporter = exporter
        ours = hasattr(exporter, "encode_span")
        self._encoding = cast("SpanEncoding", exporter) if ours else SdkExporter(exporter)
        Batcher.__init__(
            self,
            cast("BatchExporter", self._encoding),
            schedule_delay_s=schedule_delay_s,
            max_queue_size=max_queue_size,
            max_batch_size=max_batch_size,
            export_timeout_s=export_timeout_s,
            clock=clock,
            external=not ours,
        )

    @property
    def span_exporter(self) -> SpanExporter:
        """The exporter."""
        return self._exporter

    def on_end(self, span: ReadableSpan) -> None:
        """Encode and queue a sampled span. Never waits or raises.

        The span is encoded here: encoding it later in the export thread takes as long, and until then the span and
        its attributes are objects that the garbage collector must traverse.
        """
        try:
            context = span.context
            if context is None or not context.trace_flags & 1:
                return
            queue = self._queue
            length = len(queue.spans)
            if not length and (pending or not mark[0]):
                notice_fork()
                log_pending()
                queue = self._queue
            if length >= queue.capacity:
                queue.refuse()
                return
            item = self._encoding.encode_span(span)
            size = len(item[4]) if type(item) is tuple else _size(span)
            queue.spans.append(item if size <= SMALL else self._admit(span, item, size))
            if (length >= queue.wake_at or (size > SMALL and queue.is_large())) and queue.wakeup.empty():
                queue.wakeup.put(None)
            if self._thread is None:
                self._start()
        except Exception:  # noqa: BLE001 - runs for every span: a try costs less than `guarded`
            internal_failure("queueing a span")

    def _admit(self, span: ReadableSpan, item: Queued, size: int) -> Queued | LargeItem:
        """Return what to queue for a large span. A span that exceeds the free bytes is pruned to them."""
        reserved = self._queue.reserve(size)
        if reserved < size:
            item = self._encoding.encode_span(pruned_span(span, max(reserved, SMALL)))
        return LargeItem(item, reserved) if reserved else item


def _size(span: ReadableSpan) -> int:
    """Estimate the size of a span that is queued as it is; 0 if it is small."""
    return 0 if is_small(span) else span_size(span)
