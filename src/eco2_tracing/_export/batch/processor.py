"""The span processor that batches and exports: bounded in memory and time, and usable after a fork."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from eco2_tracing._export.batch.queue import LargeSpan, SpanQueue
from eco2_tracing._export.batch.sdk_exporter import SdkExporter
from eco2_tracing._export.batch.worker import BatchExporter, Worker
from eco2_tracing._forks import mark, notice_fork, renew_in_child
from eco2_tracing._guard import internal_failure, log_pending, pending
from eco2_tracing._native import Lock, NativeThread
from eco2_tracing._readable_span import SMALL, is_small, pruned_span, span_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._export.batch.queue import Queued
    from eco2_tracing._export.result import DeliveryStats

_GRACE_S = 0.1


class SpanBatcher(BatchSpanProcessor):
    """Queues ended spans and exports them in a thread of its own.

    It is a subclass so that ``isinstance`` checks work; every method is replaced. The SDK's processor logs on the
    request path, ignores the flush timeout, and takes up to 30 s to shut down.

    Args:
        exporter: The exporter.
        schedule_delay_s: Seconds between two batches that are not full.
        max_queue_size: Spans that may wait; further ones are dropped and counted.
        max_batch_size: Spans in one batch.
        export_timeout_s: Seconds for one try. A batch that failed for so long is dropped once the queue is full.
        clock: Monotonic seconds.
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
        self._batch_exporter = cast("BatchExporter", exporter) if ours else SdkExporter(exporter)
        self._schedule_delay_s = schedule_delay_s
        self._max_queue_size = max_queue_size
        self._max_batch_size = min(max_batch_size, max_queue_size)
        self._export_timeout_s = export_timeout_s
        self._clock = clock
        self._reset()
        renew_in_child(self)

    def _reset(self) -> None:
        self._queue = SpanQueue(self._max_queue_size, self._max_batch_size, self._clock)
        self._starting = Lock()
        self._thread: NativeThread | None = None

    def __repr__(self) -> str:
        """Name the destination."""
        return f"SpanBatcher({self._batch_exporter.endpoint})"

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
            item = self._batch_exporter.encode_span(span)
            size = len(item[4]) if type(item) is tuple else _size(span)
            queue.spans.append(item if size <= SMALL else self._admit(span, item, size))
            if (length >= queue.wake_at or (size > SMALL and queue.is_large())) and queue.wakeup.empty():
                queue.wakeup.put(None)
            if self._thread is None:
                self._start()
        except Exception:  # noqa: BLE001 - runs for every span: a try costs less than `guarded`
            internal_failure("queueing a span")

    def _admit(self, span: ReadableSpan, item: Queued, size: int) -> Queued | LargeSpan:
        """Return what to queue for a large span. A span that exceeds the free bytes is pruned to them."""
        reserved = self._queue.reserve(size)
        if reserved < size:
            item = self._batch_exporter.encode_span(pruned_span(span, max(reserved, SMALL)))
        return LargeSpan(item, reserved) if reserved else item

    def force_flush(self, timeout_millis: float | None = None) -> bool:
        """Export what is queued now.

        Returns:
            True if all of it arrived in time.
        """
        notice_fork()
        deadline = self._clock() + (30_000 if timeout_millis is None else timeout_millis) / 1000
        self._ensure_started()
        return self._queue.flush(deadline)

    def shutdown(self, timeout_millis: float = 5000) -> bool:  # type: ignore[override]  # the SDK's takes and returns nothing
        """Export what can be exported in time, drop the rest, and end the thread.

        Returns:
            True if all of it arrived.
        """
        notice_fork()
        limit_s = timeout_millis / 1000
        self._ensure_started()
        self._queue.stop(self._clock() + limit_s)
        thread = self._thread
        if thread is None:
            self._finish_unstarted()
        elif not thread.is_current():
            thread.join(limit_s)
            if thread.is_alive():
                self._batch_exporter.cancel()
                thread.join(_GRACE_S)
        log_pending()
        return self._queue.close()

    def is_answered(self) -> bool:
        """Return False if the address has sent nothing on the present connection, or there is no connection."""
        return getattr(self._batch_exporter, "is_answered", True)

    def stats(self) -> DeliveryStats:
        """Return the counts of this process."""
        notice_fork()
        return self._queue.stats(self._batch_exporter.endpoint)

    def _ensure_started(self) -> None:
        log_pending()
        if self._thread is None and self._queue.spans:
            self._start()

    def _start(self) -> None:
        # A signal handler that interrupts a start may end a span: it must not wait for the lock.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is not None or self._queue.stop_at is not None:
                return
            external = isinstance(self._batch_exporter, SdkExporter)
            thread = NativeThread(self._worker().run, "eco2-tracing-export", external=external)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is shutting down or has no more threads: `shutdown` delivers then.
                return
            self._thread = thread
        finally:
            self._starting.release()

    def _worker(self) -> Worker:
        return Worker(
            self._queue,
            self._batch_exporter,
            schedule_delay_s=self._schedule_delay_s,
            export_timeout_s=self._export_timeout_s,
            clock=self._clock,
        )

    def _finish_unstarted(self) -> None:
        """Export in the calling thread: no thread could be started."""
        if self._queue.spans:
            self._worker().run()
        else:
            self._batch_exporter.close()

    def after_fork(self) -> None:
        """In a forked child: drop the parent's spans, thread, locks and connections."""
        stopped = self._queue.stop_at
        self._batch_exporter.after_fork()
        self._reset()
        if stopped is not None:
            self._queue.stop(stopped)


def _size(span: ReadableSpan) -> int:
    """Estimate the size of a span that is queued as it is; 0 if it is small."""
    return 0 if is_small(span) else span_size(span)
