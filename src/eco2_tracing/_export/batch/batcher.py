"""A bounded queue with an export thread: bounded in memory and time, and usable after a fork."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from eco2_tracing._export.batch.queue import LargeItem, SpanQueue
from eco2_tracing._export.batch.worker import BatchExporter, Worker
from eco2_tracing._export.signal import TRACES, Signal
from eco2_tracing._forks import mark, notice_fork, renew_in_child
from eco2_tracing._guard import log_pending, pending
from eco2_tracing._native import Lock, NativeThread
from eco2_tracing._readable_span import SMALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.batch.queue import Queued
    from eco2_tracing._export.result import DeliveryStats, ExportResult

_GRACE_S = 0.1


class Batcher:
    """Queues items and exports them in a thread of its own, which starts with the first item.

    Args:
        exporter: The exporter.
        schedule_delay_s: Seconds between two batches that are not full.
        max_queue_size: Items that may wait; further ones are dropped and counted.
        max_batch_size: Items in one batch.
        export_timeout_s: Seconds for one try. A batch that failed for so long is dropped once the queue is full.
        clock: Monotonic seconds.
        signal: The signal that the items belong to.
        external: The exporter is of another package and expects the application's kind of thread.
        byte_limit: Bytes of large items that may wait; 0 is the default of the queue.
    """

    def __init__(
        self,
        exporter: BatchExporter,
        *,
        schedule_delay_s: float = 1.0,
        max_queue_size: int = 2048,
        max_batch_size: int = 512,
        export_timeout_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        signal: Signal = TRACES,
        external: bool = False,
        byte_limit: int = 0,
    ) -> None:
        self._batch_exporter = exporter
        self._schedule_delay_s = schedule_delay_s
        self._max_queue_size = max_queue_size
        self._max_batch_size = min(max_batch_size, max_queue_size)
        self._export_timeout_s = export_timeout_s
        self._clock = clock
        self._external = external
        self._byte_limit = byte_limit
        self.signal = signal
        self.observer: Callable[[float, ExportResult], None] | None = None
        """Called with the seconds and the result of each request."""
        self._reset()
        renew_in_child(self)

    def _reset(self) -> None:
        self._queue = SpanQueue(self._max_queue_size, self._max_batch_size, self._clock, self._byte_limit)
        self._starting = Lock()
        self._thread: NativeThread | None = None

    def __repr__(self) -> str:
        """Name the destination."""
        return f"{type(self).__name__}({self._batch_exporter.endpoint})"

    def put(self, item: Queued, size: int) -> None:
        """Queue an item of so many bytes, or drop and count it. Never waits."""
        if pending or not mark[0]:
            notice_fork()
            log_pending()
        queue = self._queue
        length = len(queue.spans)
        if length >= queue.capacity or (size > SMALL and not queue.reserve_all(size)):
            queue.refuse()
            return
        queue.spans.append(item if size <= SMALL else LargeItem(item, size))
        self._wake(queue, length, size)

    def _wake(self, queue: SpanQueue, length: int, size: int) -> None:
        """Wake the export thread if an item of this size, queued behind so many others, makes a batch due."""
        if (length >= queue.wake_at or (size > SMALL and queue.is_large())) and queue.wakeup.empty():
            queue.wakeup.put(None)
        if self._thread is None:
            self._start()

    def force_flush(self, timeout_millis: float | None = None) -> bool:
        """Export what is queued now.

        Returns:
            True if all of it arrived in time.
        """
        notice_fork()
        deadline = self._clock() + (30_000 if timeout_millis is None else timeout_millis) / 1000
        self._ensure_started()
        return self._queue.flush(deadline)

    def shutdown(self, timeout_millis: float = 5000) -> bool:
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
            thread = NativeThread(self._worker().run, "eco2-tracing-export", external=self._external)
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
            signal=self.signal,
            observer=self.observer,
        )

    def _finish_unstarted(self) -> None:
        """Export in the calling thread: no thread could be started."""
        if self._queue.spans:
            self._worker().run()
        else:
            self._batch_exporter.close()

    def after_fork(self) -> None:
        """In a forked child: drop the parent's items, thread, locks and connections."""
        stopped = self._queue.stop_at
        self._batch_exporter.after_fork()
        self._reset()
        if stopped is not None:
            self._queue.stop(stopped)
