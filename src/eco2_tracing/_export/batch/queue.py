"""Which spans are queued, under way, delivered or lost: every span that was accepted is one of them."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from eco2_tracing._export.batch.stats import DeliveryStats
from eco2_tracing._export.result import REASONS, Reason
from eco2_tracing._native import RLock, Signal, wait
from eco2_tracing._span_size import SMALL, pruned_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

BYTES_PER_SPAN = 2 * 1024
"""Bytes for heavy spans that a queue has for each span that may wait in it: 4 MiB by default."""

LEAST_BYTES = 1 << 20
"""And at least, however short the queue."""

SHARES = 4
"""No span, and no batch, has more than one of so many parts of it."""

NEVER = 1 << 62
"""A number of queued spans at which nobody is woken."""

PREPARED_AT_ONCE = 128
"""Spans that are prepared without a pause: a millisecond, where Python's own switch between threads takes five. Each
pause costs the thread that serves up to half a millisecond of its processor's time, so there are no more of them."""


class Heavy(NamedTuple):
    """A span whose bytes are counted.

    Attributes:
        span: The span, or what was prepared of it.
        weight: Bytes of the queue that are kept for it.
    """

    span: Any
    weight: int


class SpanQueue:
    """The queue between the threads that end spans and the worker.

    Appending an ordinary span takes no lock. All else happens under one that the same thread may take twice: a signal
    handler that flushes may interrupt a flush. Nothing waits, logs or calls code of others while it is held.

    Args:
        capacity: Spans that wait at most.
        batch_size: Spans that the worker takes at most.
        clock: Monotonic seconds.
    """

    def __init__(self, capacity: int, batch_size: int, clock: Callable[[], float]) -> None:
        self.spans: deque[ReadableSpan | Heavy] = deque()
        # What waits is made bytes, which take a tenth, and which no garbage collection walks over.
        self.prepared: deque[Any] = deque()
        self.preparing = 0
        self.size = self.capacity = capacity
        self.room = max(capacity * BYTES_PER_SPAN, LEAST_BYTES)
        self.bytes_waiting = 0
        self.bytes_taken = 0
        self.shortened = 0
        self.batch_size = batch_size
        self.wake_at = NEVER
        # SimpleQueue alone may be put to from a signal handler or a destructor that interrupted a put.
        self.wakeup: Signal = Signal()
        self.flush_target = 0
        self.stop_at: float | None = None
        self.closed = False
        self.taken = 0
        self.settled = 0
        self.sent = 0
        self.dropped: dict[Reason, int] = dict.fromkeys(REASONS, 0)
        self.last_error: str | None = None
        self.last_error_at: datetime | None = None
        self._clock = clock
        self._lock = RLock()
        self._flushes: set[Signal] = set()

    def refuse(self) -> None:
        """Count a span that finds no room."""
        with self._lock:
            self.dropped["shutdown" if self.stop_at is not None else "queue_full"] += 1

    def admit(self, span: ReadableSpan, weight: int) -> ReadableSpan | Heavy:
        """Keep room for the bytes of a heavy span, or make it lighter.

        Args:
            span: An ended span.
            weight: Its bytes.

        Returns:
            What is to be queued.
        """
        with self._lock:
            free = self.room - self.bytes_waiting - self.bytes_taken
            kept = min(weight, free, self.room // SHARES)
            if kept > SMALL:
                self.bytes_waiting += kept
            if kept < weight:
                self.shortened += 1
        if kept <= SMALL:
            return pruned_span(span, SMALL)
        return Heavy(span if kept == weight else pruned_span(span, kept), kept)

    def prepare(self, prepare: Callable[[Any], Any]) -> bool:
        """Have spans that wait prepared, by the worker alone; tells whether they were enough to be worth it.

        Args:
            prepare: Makes something smaller of a span; raises nothing.
        """
        with self._lock:
            if len(self.spans) < PREPARED_AT_ONCE:
                return False
            spans = [self.spans.popleft() for _ in range(PREPARED_AT_ONCE)]
            self.preparing = PREPARED_AT_ONCE
            self._leave_room()
        made = [
            prepare(one) if type(one) is not Heavy else Heavy(prepare(one.span), one.weight) for one in spans
        ]
        with self._lock:
            self.preparing = 0
            if not self.closed:
                self.prepared.extend(made)
        return True

    def take(self) -> list[Any]:
        """Take the next batch, the oldest first; a lighter one where its bytes would double while it is encoded."""
        batch: list[Any] = []
        with self._lock:
            for _ in range(min(self.waiting(), self.batch_size)):
                waiting = (self.prepared or self.spans).popleft()
                if isinstance(waiting, Heavy):
                    self.bytes_taken += waiting.weight
                    self.bytes_waiting -= waiting.weight
                    waiting = waiting.span
                batch.append(waiting)
                if self.bytes_taken > self.room // SHARES:
                    break
            self.taken += len(batch)
            self._leave_room()
        return batch

    def settle(self, sent: int, lost: int = 0, reason: Reason = "export_failed") -> None:
        """Note the fate of spans that were taken.

        Args:
            sent: How many arrived.
            lost: How many did not.
            reason: Why those did not.
        """
        with self._lock:
            if self.closed:
                return
            self.sent += sent
            self.dropped[reason] += lost
            self.settled += sent + lost
            if self.settled == self.taken:
                self.bytes_taken = 0
            self._wake_flushes()

    def note_error(self, error: str) -> None:
        """Keep the latest error for those who ask."""
        with self._lock:
            self.last_error, self.last_error_at = error, datetime.now(UTC)

    def flush(self, deadline: float) -> bool:
        """Wait until all that is queued now has met its fate.

        Args:
            deadline: Reading of the clock at which to stop waiting.

        Returns:
            All of it arrived.
        """
        with self._lock:
            target = self.taken + self.waiting()
            lost = self._lost_in_delivery()
            self.flush_target = max(self.flush_target, target)
            changed: Signal = Signal()
            self._flushes.add(changed)
        self.wakeup.put(None)
        try:
            while self.settled < target and wait(changed, deadline - self._clock()):
                pass
            return self.settled >= target and self._lost_in_delivery() == lost
        finally:
            with self._lock:
                self._flushes.discard(changed)

    def stop(self, deadline: float) -> bool:
        """Take no more spans, and let the worker finish.

        Args:
            deadline: Reading of the clock at which it must have.

        Returns:
            This was the first call.
        """
        with self._lock:
            if self.stop_at is not None:
                return False
            self.stop_at = deadline
            self.capacity = 0
            self.wakeup.put(None)
            return True

    def close(self) -> bool:
        """Give up what has not arrived by now, once the time is over.

        Returns:
            Nothing had to be given up, now or earlier while stopping.
        """
        with self._lock:
            self.closed = True
            self._give_up()
            self._wake_flushes()
            return self.dropped["shutdown"] == 0

    def has_work(self) -> bool:
        """Tell whether the worker should take a batch now, without waiting for more spans."""
        waiting = self.waiting()
        return waiting > 0 and (
            waiting >= self.batch_size
            or self.is_heavy()
            or self.flush_target > self.taken
            or self.stop_at is not None
        )

    def is_heavy(self) -> bool:
        """Tell whether the bytes that wait should not wait for company."""
        return self.bytes_waiting > self.room // 2

    def is_flushing(self) -> bool:
        """Tell whether somebody waits for spans that are not yet settled."""
        return self.flush_target > self.settled

    def waiting(self) -> int:
        """Return how many spans wait, prepared or not."""
        return len(self.spans) + self.preparing + len(self.prepared)

    def queued(self) -> int:
        """Return how many spans wait or are under way."""
        return self.waiting() + self.taken - self.settled

    def lost(self) -> int:
        """Return how many spans were lost, for whatever reason."""
        return sum(self.dropped.values())

    def stats(self, endpoint: str) -> DeliveryStats:
        """Return all figures at one moment."""
        with self._lock:
            if self.closed:
                self._give_up()  # a span that ended in the moment of the shutdown, on another thread
            dropped = {str(reason): count for reason, count in self.dropped.items()}
            error = self.last_error, self.last_error_at
            return DeliveryStats(endpoint, self.sent, self.queued(), dropped, *error)

    def _wake_flushes(self) -> None:
        for changed in list(self._flushes):
            changed.put(None)

    def _leave_room(self) -> None:
        """Let only so many spans in that all of those that wait are no more than the queue may hold."""
        if self.stop_at is None:
            self.capacity = max(self.size - self.preparing - len(self.prepared), 0)

    def _give_up(self) -> None:
        self.taken += self.waiting()
        self.spans.clear()
        self.prepared.clear()
        self.preparing = 0
        self.bytes_waiting = self.bytes_taken = 0
        self.dropped["shutdown"] += self.taken - self.settled
        self.settled = self.taken

    def _lost_in_delivery(self) -> int:
        return self.lost() - self.dropped["queue_full"]
