"""The thread that delivers: waits, batches, sends, tries again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from opentelemetry.context import attach, detach

from eco2_tracing._export.batch.failure_log import Reporter
from eco2_tracing._export.batch.queue import NEVER, PREPARED_AT_ONCE, SpanQueue
from eco2_tracing._export.gil import yield_gil
from eco2_tracing._guard import internal_failure
from eco2_tracing._native import wait
from eco2_tracing._suppression import SUPPRESSED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._export.result import ExportResult

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 4.0
"""With the export timeout of 10 s, delivery resumes within 15 s after the collector's return."""
_SHORTEST_PAUSE_S = 0.1
_TRIES_AT_STOP = 3


class EncodedBatch(NamedTuple):
    """Something to send.

    Attributes:
        content: What the sink made of the spans.
        spans: How many it holds.
    """

    content: Any
    spans: int


class BatchExporter(Protocol):
    """Where batches go.

    Attributes:
        endpoint: Its name for people, without credentials.
    """

    endpoint: str

    def prepare(self, span: ReadableSpan) -> Any:
        """Make something that waits more cheaply of a span; raises nothing."""

    def pack(self, spans: Sequence[Any]) -> tuple[list[EncodedBatch], int]:
        """Make packages of a batch, prepared or not; also return how many spans cannot be sent at all."""

    def send(self, package: EncodedBatch, timeout_s: float, meanwhile: Callable[[], None]) -> ExportResult:
        """Send one package, in bounded time; ``meanwhile`` is called now and then while the server takes its own."""

    def cancel(self) -> None:
        """From another thread: fail the running call and all later ones."""

    def close(self) -> None:
        """Let go of what is open."""

    def forget(self) -> None:
        """In a forked child: let go of what is the parent's, without a word to the peer."""


class Worker:
    """Delivers what is queued until it is told to stop.

    Args:
        queue: What to deliver.
        sink: Where to.
        schedule_delay_s: Seconds that spans wait for company.
        export_timeout_s: Seconds after which a batch that cannot be delivered makes room, where room is needed.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        queue: SpanQueue,
        sink: BatchExporter,
        *,
        schedule_delay_s: float,
        export_timeout_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._batch_exporter = sink
        self._schedule_delay_s = schedule_delay_s
        self._export_timeout_s = export_timeout_s
        self._clock = clock
        self._reporter = Reporter(sink.endpoint, queue, clock)
        self._given_up = False

    def run(self) -> None:
        """Work until the queue is stopped and empty."""
        token = attach(SUPPRESSED)
        try:
            while self._queue.stop_at is None:
                self._wait()
                self._work()
            self._work()
            self._batch_exporter.close()
        except Exception:  # noqa: BLE001 - the thread ends, the application goes on
            internal_failure("delivering spans")
        finally:
            detach(token)

    def _wait(self) -> None:
        """Wait for a full batch, a flush, the stop, or the end of the delay."""
        queue = self._queue
        deadline = self._clock() + self._schedule_delay_s
        # The wakeup may have rung for a batch that is under way by now: it is the queue that tells.
        while not queue.has_work() and queue.stop_at is None:
            self._prepare()
            missing = queue.batch_size - len(queue.prepared)
            if not self._listen(deadline, min(max(missing, 1), PREPARED_AT_ONCE)):
                return

    def _listen(self, deadline: float, spans: int) -> bool:
        """Wait for the wakeup, or until so many spans are not prepared; tells whether there is time left."""
        queue = self._queue
        queue.wake_at = spans - 1
        try:
            if len(queue.spans) < spans:  # nobody rang for those that came before
                return wait(queue.wakeup, deadline - self._clock(), background=True)
        finally:
            queue.wake_at = NEVER
        return True

    def _prepare(self) -> None:
        while self._queue.prepare(self._batch_exporter.prepare):
            yield_gil()

    def _work(self) -> None:
        """Deliver one batch at least, and more while there is a reason."""
        while True:
            spans = self._queue.take()
            if spans:
                self._deliver(spans)
            if not self._queue.has_work():
                return

    def _deliver(self, spans: list[Any]) -> None:
        left = len(spans)
        try:
            packages, lost = self._batch_exporter.pack(spans)
            spans.clear()  # the packages are smaller, and may have to wait for long
            self._queue.settle(0, lost, "unencodable")
            left -= lost
            for package in packages:
                self._insist(package)
                left -= package.spans
        except BaseException:  # noqa: BLE001 - an exporter that is not ours; nothing may end this thread but we
            internal_failure("delivering a batch of spans")
            self._queue.settle(0, left, "export_failed")

    def _insist(self, package: EncodedBatch) -> None:
        """Send a package until it arrives, is refused for good, or has to be given up."""
        begun = self._clock()
        tries = 0
        while not self._given_up:
            started = self._clock()
            timeout_s = self._time_for_one_try(started)
            if timeout_s <= 0:
                break
            reply = self._batch_exporter.send(package, timeout_s, self._prepare)
            if self._settled(package, reply, started):
                return
            tries = tries + 1
            if self._queue.stop_at is not None and tries >= _TRIES_AT_STOP:
                break
            if self._must_make_room(begun):
                self._queue.settle(0, package.spans, "export_failed")
                return
            if not self._may_try_again(reply):
                break
            self._pause(self._backoff(tries, started, reply), heed_flush=not reply.retry_after_s)
        self._given_up = True
        self._queue.settle(0, package.spans, "shutdown")

    def _settled(self, package: EncodedBatch, reply: ExportResult, started: float) -> bool:
        lost = package.spans if reply.outcome == "dropped" else min(reply.rejected, package.spans)
        # What fails once the time is over was cut short by ourselves: no news of the receiver.
        if reply.error and self._time_for_one_try(self._clock()) > 0:
            self._report(reply, lost, started)
        if reply.outcome == "retry":
            return False
        self._queue.settle(package.spans - lost, lost, reply.reason)
        if not reply.error:
            self._reporter.delivered()
        return True

    def _report(self, reply: ExportResult, lost: int, started: float) -> None:
        if reply.outcome == "retry":
            self._reporter.failed(reply.error, since=started)
        elif lost:
            self._reporter.failed(reply.error, reply.reason, lost, since=started)
        else:
            self._reporter.advised(reply.error)

    def _time_for_one_try(self, now: float) -> float:
        stop_at = self._queue.stop_at
        return self._export_timeout_s if stop_at is None else min(self._export_timeout_s, stop_at - now)

    def _must_make_room(self, begun: float) -> bool:
        """Tell whether newer spans are being lost for an old batch's sake."""
        queue = self._queue
        full = queue.stop_at is None and len(queue.spans) >= queue.capacity
        return full and self._clock() - begun >= self._export_timeout_s

    def _may_try_again(self, reply: ExportResult) -> bool:
        """Tell whether the server's time for the next try is not beyond the end."""
        stop_at = self._queue.stop_at
        return stop_at is None or self._clock() + (reply.retry_after_s or 0) < stop_at

    def _backoff(self, tries: int, started: float, reply: ExportResult) -> float:
        """Give the seconds to wait: those that the server asks for, and never fewer than by ourselves."""
        longest = (
            FIRST_BACKOFF_S if self._queue.is_flushing() or self._queue.stop_at is not None else MAX_BACKOFF_S
        )
        # Between the beginnings of two tries: one that took all its time was wait enough.
        interval = min(FIRST_BACKOFF_S * float(1 << min(tries - 1, 8)), longest) * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
        return max(interval - (self._clock() - started), _SHORTEST_PAUSE_S, reply.retry_after_s or 0)

    def _pause(self, seconds: float, *, heed_flush: bool) -> None:
        """Wait before the next try; a stop ends it, and a new flush unless the server set the time."""
        queue = self._queue
        deadline = self._clock() + seconds
        stop_at, flush_target = queue.stop_at, queue.flush_target
        if stop_at is not None:
            deadline = min(deadline, stop_at)
        while queue.stop_at == stop_at and not (heed_flush and queue.flush_target > flush_target):
            self._prepare()
            if deadline - self._clock() <= 0 or not self._listen(deadline, PREPARED_AT_ONCE):
                return
