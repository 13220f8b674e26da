"""A batch processor that is bounded, truthful and safe to fork."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from eco2_tracing._export.batch.queue import SpanQueue
from eco2_tracing._export.batch.sdk_exporter import SdkExporter, batch_exporter_for
from eco2_tracing._export.batch.worker import Worker
from eco2_tracing._forks import in_child, mark, notice_fork
from eco2_tracing._guard import internal_failure, log_pending, pending
from eco2_tracing._native import Lock, NativeThread
from eco2_tracing._span_size import SMALL, is_small, span_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._export.batch.stats import DeliveryStats

_GRACE_S = 0.1


class SpanBatcher(BatchSpanProcessor):
    """Queues ended spans and delivers them from a thread of its own.

    The SDK's processor is replaced behind its own type, for those who look for it: its queue logs on the request
    path, its flush has no limit, its shutdown may take half a minute, and gRPC does not survive a fork.

    Args:
        exporter: Where spans go.
        schedule_delay_s: Seconds that spans wait for company.
        max_queue_size: Spans that wait at most; those beyond are counted as dropped.
        max_batch_size: Spans in one batch at most.
        export_timeout_s: Seconds that one try may take, and after which a batch that cannot be delivered makes room
            for newer ones where the queue is full.
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
        self._batch_exporter = batch_exporter_for(exporter)
        self._schedule_delay_s = schedule_delay_s
        self._max_queue_size = max_queue_size
        self._max_batch_size = min(max_batch_size, max_queue_size)
        self._export_timeout_s = export_timeout_s
        self._clock = clock
        self._begin()
        _alive.add(self)

    def _begin(self) -> None:
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
        """Queue a sampled span. Takes about two microseconds, never waits, never raises.

        Args:
            span: A span that has ended.
        """
        try:
            context = span.context
            if context is None or not context.trace_flags & 1:
                return
            queue = self._queue
            size = len(queue.spans)
            if not size and (pending or not mark[0]):
                notice_fork()
                log_pending()
                queue = self._queue
            if size >= queue.capacity:
                queue.refuse()
                return
            weight = 0 if is_small(span) else span_size(span)
            queue.spans.append(span if weight <= SMALL else queue.admit(span, weight))
            if (size >= queue.wake_at or (weight > SMALL and queue.is_heavy())) and queue.wakeup.empty():
                queue.wakeup.put(None)
            if self._thread is None:
                self._start()
        except Exception:  # noqa: BLE001 - the span is the application's
            internal_failure("queueing a span")

    def force_flush(self, timeout_millis: float | None = None) -> bool:
        """Deliver what is queued now.

        Args:
            timeout_millis: Milliseconds to wait at most; 30 000 by default.

        Returns:
            All of it arrived in time.
        """
        notice_fork()
        deadline = self._clock() + (30_000 if timeout_millis is None else timeout_millis) / 1000
        self._ensure_started()
        return self._queue.flush(deadline)

    def shutdown(self, timeout_millis: float = 5000) -> bool:  # type: ignore[override]  # more than the SDK asks for
        """Deliver what can be delivered in time, drop the rest, and end the thread.

        Args:
            timeout_millis: Milliseconds that it may take.

        Returns:
            All of it arrived.
        """
        notice_fork()
        limit_s = timeout_millis / 1000
        self._ensure_started()
        self._queue.stop(self._clock() + limit_s)
        thread = self._thread
        if thread is None:
            self._close_unstarted()
        elif not thread.is_current():
            thread.join(limit_s)
            if thread.is_alive():
                self._batch_exporter.cancel()
                thread.join(_GRACE_S)
        log_pending()
        return self._queue.close()

    def stats(self) -> DeliveryStats:
        """Return what became of the spans of this process."""
        notice_fork()
        return self._queue.stats(self._batch_exporter.endpoint)

    def _ensure_started(self) -> None:
        log_pending()
        if self._thread is None and self._queue.spans:
            self._start()

    def _start(self) -> None:
        # A signal handler may interrupt a start and end a span: whoever comes second leaves it to the first.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is not None or self._queue.stop_at is not None:
                return
            foreign = isinstance(self._batch_exporter, SdkExporter)
            thread = NativeThread(self._worker().run, "eco2-tracing-export", foreign=foreign)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is ending, or is out of threads: shutdown delivers by itself.
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

    def _close_unstarted(self) -> None:
        """Deliver in the calling thread where no other could be started."""
        if self._queue.spans:
            self._worker().run()
        else:
            self._batch_exporter.close()

    def _after_fork_in_child(self) -> None:
        """Begin anew: thread, locks and connections stay with the parent, and so do the spans that it queued."""
        stopped = self._queue.stop_at
        self._batch_exporter.forget()
        self._begin()
        if stopped is not None:
            self._queue.stop(stopped)


_alive: weakref.WeakSet[SpanBatcher] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for batcher in list(_alive):
        try:
            batcher._after_fork_in_child()
        except Exception:  # noqa: BLE001 - the child goes on, without spans at worst
            internal_failure("starting over in a forked process")


in_child(_after_fork_in_child)
