"""The export thread: waits, takes batches, sends and retries them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

from opentelemetry.context import attach, detach

from eco2_tracing._export.batch.failure_log import FailureLog
from eco2_tracing._export.batch.queue import NEVER, SpanQueue
from eco2_tracing._export.signal import TRACES, Signal
from eco2_tracing._guard import guarded, internal_failure
from eco2_tracing._native import wait
from eco2_tracing._untraced import SUPPRESSED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._export.batch.queue import Queued
    from eco2_tracing._export.result import EncodedBatch, ExportResult

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 4.0
"""With the export timeout of 10 s, delivery resumes within 15 s after the collector's return."""
_SHORTEST_PAUSE_S = 0.1
_TRIES_AT_STOP = 3


class BatchExporter(Protocol):
    """The exporter that the worker drives.

    Attributes:
        endpoint: Destination, without credentials.
    """

    endpoint: str

    def encode(self, items: Sequence[Queued], /) -> tuple[list[EncodedBatch], int]:
        """Build the requests of a batch. Return them, and the number of items that cannot be encoded."""

    def send(self, batch: EncodedBatch, timeout_s: float) -> ExportResult:
        """Send within the timeout."""

    def cancel(self) -> None:
        """Called by another thread: fail the running call and all later ones."""

    def close(self) -> None:
        """Release connections."""

    def after_fork(self) -> None:
        """In a forked child: release the parent's connections without sending anything on them."""


class SpanEncoding(Protocol):
    """The part of an exporter of spans that runs in the threads that end them."""

    def encode_span(self, span: ReadableSpan, /) -> Queued:
        """Encode an ended span; return the span itself if that fails."""


class Worker:
    """Delivers queued spans until the queue is stopped."""

    def __init__(
        self,
        queue: SpanQueue,
        exporter: BatchExporter,
        *,
        schedule_delay_s: float,
        export_timeout_s: float,
        clock: Callable[[], float],
        signal: Signal = TRACES,
        observer: Callable[[float, ExportResult], None] | None = None,
    ) -> None:
        self._observer = observer
        self._queue = queue
        self._exporter = exporter
        self._schedule_delay_s = schedule_delay_s
        self._export_timeout_s = export_timeout_s
        self._clock = clock
        self._failure_log = FailureLog(exporter.endpoint, queue, clock, signal)
        self._given_up = False

    def run(self) -> None:
        """Deliver until the queue is stopped and empty."""
        token = attach(SUPPRESSED)
        try:
            with guarded("delivering spans"):
                while self._queue.stop_at is None:
                    self._wait_for_batch()
                    self._deliver_due()
                self._deliver_due()
                self._exporter.close()
        finally:
            detach(token)

    def _wait_for_batch(self) -> None:
        """Wait for a full batch, a flush, the stop or the end of the schedule delay."""
        queue = self._queue
        deadline = self._clock() + self._schedule_delay_s
        # The wakeup may be for a batch that was already taken: only the queue's state counts.
        while not queue.has_work() and queue.stop_at is None:
            if not self._wait_for_spans(deadline, queue.batch_size):
                return

    def _wait_for_spans(self, deadline: float, count: int) -> bool:
        """Wait for the wakeup or for ``count`` spans; return False after the deadline."""
        queue = self._queue
        queue.wake_at = count - 1
        try:
            if len(queue.spans) < count:  # spans queued before `wake_at` was set did not wake this thread
                return wait(queue.wakeup, deadline - self._clock(), background=True)
        finally:
            queue.wake_at = NEVER
        return True

    def _deliver_due(self) -> None:
        """Deliver one batch, and further ones while they are due."""
        while True:
            spans = self._queue.take()
            if spans:
                self._deliver(spans)
            if not self._queue.has_work():
                return

    def _deliver(self, spans: list[Queued]) -> None:
        left = len(spans)
        try:
            batches, lost = self._exporter.encode(spans)
            spans.clear()  # the encoded batches are smaller and may be retried for long
            self._queue.record_outcome(0, lost, "unencodable")
            left -= lost
            for batch in batches:
                self._send(batch)
                left -= batch.spans
        except BaseException:  # noqa: BLE001 - an exporter of another package may raise SystemExit; this thread goes on
            internal_failure("delivering a batch of spans")
            self._queue.record_outcome(0, left, "export_failed")

    def _send(self, batch: EncodedBatch) -> None:
        """Send a batch until it is accepted, refused for good or given up."""
        begun = self._clock()
        tries = 0
        while not self._given_up:
            started = self._clock()
            timeout_s = self._try_timeout(started)
            if timeout_s <= 0:
                break
            result = self._exporter.send(batch, timeout_s)
            if self._observer is not None:
                self._observer(self._clock() - started, result)
            if self._is_final(batch, result, started):
                return
            tries += 1
            if self._queue.stop_at is not None and tries >= _TRIES_AT_STOP:
                break
            if self._must_make_room(begun):
                self._queue.record_outcome(0, batch.spans, "export_failed")
                return
            if not self._may_retry(result):
                break
            self._pause(self._backoff(tries, started, result), until_flush=not result.retry_after_s)
        self._given_up = True
        self._queue.record_outcome(0, batch.spans, "shutdown")

    def _is_final(self, batch: EncodedBatch, result: ExportResult, started: float) -> bool:
        """Log a failure, and record the outcome unless the batch is to be retried."""
        lost = batch.spans if result.outcome == "dropped" else min(result.rejected, batch.spans)
        # An error after the time limit of the shutdown is of our own making and says nothing about the receiver.
        if result.error and self._try_timeout(self._clock()) > 0:
            self._log_failure(result, lost, started)
        if result.outcome == "retry":
            return False
        self._queue.record_outcome(batch.spans - lost, lost, result.reason)
        if not result.error:
            self._failure_log.delivered()
        return True

    def _log_failure(self, result: ExportResult, lost: int, started: float) -> None:
        if result.outcome == "retry":
            self._failure_log.failed(result.error, since=started)
        elif lost:
            self._failure_log.failed(result.error, result.reason, lost, since=started)
        else:
            self._failure_log.advised(result.error)

    def _try_timeout(self, now: float) -> float:
        stop_at = self._queue.stop_at
        return self._export_timeout_s if stop_at is None else min(self._export_timeout_s, stop_at - now)

    def _must_make_room(self, begun: float) -> bool:
        """Return whether an old batch must be dropped because newer spans find the queue full."""
        queue = self._queue
        full = queue.stop_at is None and len(queue.spans) >= queue.capacity
        return full and self._clock() - begun >= self._export_timeout_s

    def _may_retry(self, result: ExportResult) -> bool:
        """Return whether the delay that the server asked for ends before the stop."""
        stop_at = self._queue.stop_at
        return stop_at is None or self._clock() + (result.retry_after_s or 0) < stop_at

    def _backoff(self, tries: int, started: float, result: ExportResult) -> float:
        """Return the seconds to wait: the server's delay, but never less than our own."""
        urgent = self._queue.is_flushing() or self._queue.stop_at is not None
        longest = FIRST_BACKOFF_S if urgent else MAX_BACKOFF_S
        # Measured between the starts of two tries: a try that timed out needs no further wait.
        interval = min(FIRST_BACKOFF_S * float(1 << min(tries - 1, 8)), longest) * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
        return max(interval - (self._clock() - started), _SHORTEST_PAUSE_S, result.retry_after_s or 0)

    def _pause(self, seconds: float, *, until_flush: bool) -> None:
        """Wait before a retry. A stop ends the wait; so does a new flush if ``until_flush`` is set."""
        queue = self._queue
        deadline = self._clock() + seconds
        stop_at, flush_target = queue.stop_at, queue.flush_target
        if stop_at is not None:
            deadline = min(deadline, stop_at)
        while queue.stop_at == stop_at and not (until_flush and queue.flush_target > flush_target):
            if not wait(queue.wakeup, deadline - self._clock(), background=True):
                return
