"""The bounded queue of spans, or of items of another signal, and the counts of their outcomes."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing._export.result import REASONS, DeliveryStats, Reason
from eco2_tracing._native import RLock, Signal, wait
from eco2_tracing._readable_span import SMALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._export.result import EncodedSpan

    Queued = ReadableSpan | EncodedSpan | ReadableLogRecord | bytes

BYTES_PER_SPAN = 2 * 1024
"""Bytes for large spans per span of the queue's capacity: 4 MiB by default."""

LEAST_BYTES = 1 << 20
"""Smallest byte limit of a queue."""

SHARES = 4
"""One span or batch holds at most the byte limit divided by this number."""

NEVER = 1 << 62
"""Value of `SpanQueue.wake_at` while the worker does not wait."""


class LargeItem(NamedTuple):
    """An item whose size counts against the byte limit.

    Attributes:
        item: The span or the item of another signal.
        size: Bytes reserved for it.
    """

    item: Queued
    size: int


class SpanQueue:
    """The queue between the threads that end spans and the export thread.

    Appending a small span takes no lock. Everything else holds one lock. It is re-entrant because a signal handler
    may flush while the same thread flushes. Code that holds it never waits, logs or calls other packages.
    """

    def __init__(
        self, capacity: int, batch_size: int, clock: Callable[[], float], byte_limit: int = 0
    ) -> None:
        self.spans: deque[Queued | LargeItem] = deque()
        self.size = self.capacity = capacity  # `capacity` becomes 0 when the queue is stopped
        self.byte_limit = byte_limit or max(capacity * BYTES_PER_SPAN, LEAST_BYTES)
        self.bytes_waiting = 0
        self.bytes_taken = 0
        self.shortened = 0
        self.batch_size = batch_size
        self.wake_at = NEVER
        # SimpleQueue.put is safe in a signal handler or destructor that interrupts another put.
        self.wakeup: Signal = Signal()
        self.flush_target = 0
        self.stop_at: float | None = None
        self.closed = False
        self.taken = 0
        self.finished = 0
        self.sent = 0
        self.dropped: dict[Reason, int] = dict.fromkeys(REASONS, 0)
        self.failures = 0
        self.last_error: str | None = None
        self.last_error_at: datetime | None = None
        self._clock = clock
        self._lock = RLock()
        self._flushes: set[Signal] = set()

    def refuse(self) -> None:
        """Count a span that was dropped because the queue is full or stopped."""
        with self._lock:
            self.dropped["shutdown" if self.stop_at is not None else "queue_full"] += 1

    def reserve(self, size: int) -> int:
        """Reserve bytes for a large span.

        Returns:
            The bytes reserved; fewer than ``size`` if the span must be pruned, and 0 if it must become small.
        """
        with self._lock:
            free = self.byte_limit - self.bytes_waiting - self.bytes_taken
            reserved = min(size, free, self.byte_limit // SHARES)
            if reserved < size:
                self.shortened += 1
            if reserved <= SMALL:
                return 0
            self.bytes_waiting += reserved
            return reserved

    def reserve_all(self, size: int) -> bool:
        """Reserve bytes for an item that cannot be pruned; return False if it exceeds the free bytes."""
        with self._lock:
            free = self.byte_limit - self.bytes_waiting - self.bytes_taken
            if size > min(free, self.byte_limit // SHARES):
                return False
            self.bytes_waiting += size
            return True

    def take(self) -> list[Queued]:
        """Take the next batch, oldest spans first. Large spans make it shorter: encoding copies their bytes."""
        batch: list[Queued] = []
        with self._lock:
            for _ in range(min(self.waiting(), self.batch_size)):
                item = self.spans.popleft()
                if isinstance(item, LargeItem):
                    self.bytes_taken += item.size
                    self.bytes_waiting -= item.size
                    item = item.item
                batch.append(item)
                if self.bytes_taken > self.byte_limit // SHARES:
                    break
            self.taken += len(batch)
        return batch

    def record_outcome(self, sent: int, lost: int = 0, reason: Reason = "export_failed") -> None:
        """Count the outcome of spans that were taken."""
        with self._lock:
            if self.closed:
                return
            self.sent += sent
            self.dropped[reason] += lost
            self.finished += sent + lost
            if self.finished == self.taken:
                self.bytes_taken = 0
            self._wake_flushes()

    def record_error(self, error: str) -> None:
        """Count a failure, and store the latest error for `stats`."""
        with self._lock:
            self.failures += 1
            self.last_error, self.last_error_at = error, datetime.now(UTC)

    def flush(self, deadline: float) -> bool:
        """Wait until the outcome of every span queued so far is known.

        Returns:
            True if all of them arrived.
        """
        with self._lock:
            target = self.taken + self.waiting()
            lost = self._lost_in_export()
            self.flush_target = max(self.flush_target, target)
            changed: Signal = Signal()
            self._flushes.add(changed)
        self.wakeup.put(None)
        try:
            while self.finished < target and wait(changed, deadline - self._clock()):
                pass
            return self.finished >= target and self._lost_in_export() == lost
        finally:
            with self._lock:
                self._flushes.discard(changed)

    def stop(self, deadline: float) -> None:
        """Refuse further spans and let the export thread finish. Later calls change nothing."""
        with self._lock:
            if self.stop_at is None:
                self.stop_at = deadline
                self.capacity = 0
                self.wakeup.put(None)

    def close(self) -> bool:
        """Drop the spans that have not arrived.

        Returns:
            True if no span was dropped because of the shutdown.
        """
        with self._lock:
            self.closed = True
            self._drop_all()
            self._wake_flushes()
            return self.dropped["shutdown"] == 0

    def has_work(self) -> bool:
        """Return whether a batch is due before the schedule delay has passed."""
        waiting = self.waiting()
        return waiting > 0 and (
            waiting >= self.batch_size
            or self.is_large()
            or self.flush_target > self.taken
            or self.stop_at is not None
        )

    def is_large(self) -> bool:
        """Return whether the large spans that wait fill half of the byte limit. A batch is due then."""
        return self.bytes_waiting > self.byte_limit // 2

    def is_flushing(self) -> bool:
        """Return whether a flush is waiting."""
        return self.flush_target > self.finished

    def waiting(self) -> int:
        """Return the number of spans not yet taken."""
        return len(self.spans)

    def queued(self) -> int:
        """Return the number of spans that wait or are being exported."""
        return self.waiting() + self.taken - self.finished

    def lost(self) -> int:
        """Return the number of dropped spans."""
        return sum(self.dropped.values())

    def stats(self, endpoint: str) -> DeliveryStats:
        """Return a consistent set of counts."""
        with self._lock:
            if self.closed:
                self._drop_all()  # another thread may have appended a span during the shutdown
            dropped = {str(reason): count for reason, count in self.dropped.items()}
            error = self.last_error, self.last_error_at
            return DeliveryStats(endpoint, self.sent, self.queued(), dropped, *error, self.failures)

    def _wake_flushes(self) -> None:
        for changed in list(self._flushes):
            changed.put(None)

    def _drop_all(self) -> None:
        self.taken += self.waiting()
        self.spans.clear()
        self.bytes_waiting = self.bytes_taken = 0
        self.dropped["shutdown"] += self.taken - self.finished
        self.finished = self.taken

    def _lost_in_export(self) -> int:
        return self.lost() - self.dropped["queue_full"]
