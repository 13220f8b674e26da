"""Flushes and shuts down exporters and span processors, within time limits."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from eco2_tracing._guard import guarded
from eco2_tracing._native import NativeThread

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import TracerProvider

    from eco2_tracing._export import DeliveryStats, SpanBatcher
    from eco2_tracing._export.batch.batcher import Batcher
    from eco2_tracing._lifecycle.signals import OtherSignals
    from eco2_tracing._native import RLock


EXIT_BUDGET_S = 2.5
"""Seconds that the end of the lifespan, a signal and the exit of the interpreter may wait together.

A process without a collector must end within 5 s. The server and the interpreter take 1 to 2 s on a busy machine.
"""

RENEWAL_S = 30.0
"""Seconds without a wait after which the budget is whole again: the process has not ended."""

WORKERS_END_S = 3.0
"""Seconds after a child's last wait in which that wait counts against the parent's budget.

The master of a server ends after its workers. The wait of a worker that was replaced earlier does not count.
"""

LEAST_S = 0.75
"""Smallest budget of a parent: enough if the collector answers."""

_RECORD = struct.Struct("dd")
_GRACE_S = 0.2
_LONGEST_S = 86_400.0


class ExitBudget:
    """Counts the seconds spent waiting, but not those between waits.

    Forked children write the seconds that they spent into shared memory. Their parent has the rest. The clock is
    monotonic and the same in parent and child; the lock is re-entrant because of signal handlers.
    """

    def __init__(
        self, lock: RLock, total_s: float = EXIT_BUDGET_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._of_children = mmap.mmap(-1, mmap.PAGESIZE)
        self._for_parent: mmap.mmap | None = None
        self._counted_at = 0.0
        self._lock = lock
        self._total_s = total_s
        self._clock = clock
        self._left_s = total_s
        self._waiting = 0
        self._deadline = 0.0
        self._ended_at = clock()

    def of_child(self, lock: RLock) -> ExitBudget:
        """Return the whole budget, for a forked child."""
        budget = ExitBudget(lock, self._total_s, self._clock)
        budget._for_parent = self._of_children
        return budget

    @contextmanager
    def spend(self) -> Iterator[float]:
        """Count the time of the block, and yield the seconds left. Concurrent blocks share the same seconds."""
        with self._lock:
            now = self._clock()
            if not self._waiting:
                if now - self._ended_at > RENEWAL_S:
                    self._left_s = self._total_s
                self._count_children(now)
                self._deadline = now + self._left_s
            self._waiting += 1
        try:
            yield max(0.0, self._deadline - now)
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._ended_at = self._clock()
                    self._left_s = max(0.0, self._deadline - self._ended_at)
                    if self._for_parent is not None:
                        _RECORD.pack_into(self._for_parent, 0, self._ended_at, self._total_s - self._left_s)

    def _count_children(self, now: float) -> None:
        """Subtract, once, the seconds of the child that ended last."""
        ended_at, spent_s = _RECORD.unpack_from(self._of_children)
        if ended_at != self._counted_at and now - ended_at <= WORKERS_END_S:
            self._counted_at = ended_at
            self._left_s = max(self._left_s - spent_s, min(self._left_s, LEAST_S))


class Delivery:
    """Our exporters, which respect time limits, and processors of the application, which may not.

    An external tracer provider is flushed, and never shut down.

    Attributes:
        exporters: The queues of spans.
        others: Metrics and logs; ``None`` before they are built.
    """

    others: OtherSignals | None = None

    def __init__(
        self,
        exporters: Sequence[SpanBatcher],
        processors: Sequence[SpanProcessor] = (),
        external_provider: TracerProvider | None = None,
    ) -> None:
        self.exporters = tuple(exporters)
        self.processors = processors  # the application may add one
        self._external_provider = external_provider

    def __bool__(self) -> bool:
        """True if there are exporters, of any signal, or processors."""
        return bool(self.queues or self.processors)

    @property
    def exports_spans(self) -> bool:
        """True if spans leave this process, or processors of the application get them."""
        return bool(self.exporters or self.processors)

    @property
    def queues(self) -> tuple[Batcher, ...]:
        """The queues of all signals."""
        return self.exporters if self.others is None else (*self.exporters, *self.others.batchers)

    def flush(self, timeout_s: float) -> bool:
        """Deliver everything that is queued; return True if all of it was delivered in time."""
        others = self.processors if self._external_provider is None else [self._external_provider]
        # An object without `force_flush` may be used as a processor.
        flushes = [flush for other in others if (flush := getattr(other, "force_flush", None)) is not None]
        bounded = [exporter.force_flush for exporter in self.exporters]
        return _call_all(
            [*bounded, *([] if self.others is None else self.others.flushes())], flushes, timeout_s
        )

    def shutdown(self, timeout_s: float) -> bool:
        """Deliver what can be delivered in time, then shut everything down; return True if all was delivered."""
        ends = [partial(_end, processor) for processor in self.processors]
        bounded = [exporter.shutdown for exporter in self.exporters]
        return _call_all(
            [*bounded, *([] if self.others is None else self.others.shutdowns())], ends, timeout_s
        )

    def stats(self) -> list[DeliveryStats]:
        """Return the counts of each exporter of spans."""
        return [exporter.stats() for exporter in self.exporters]


def _end(processor: SpanProcessor, timeout_millis: int) -> bool:
    try:
        return not hasattr(processor, "force_flush") or processor.force_flush(timeout_millis)
    finally:
        processor.shutdown()


def _call_all(
    bounded: Sequence[Callable[[int], bool]], unbounded: Sequence[Callable[[int], bool]], timeout_s: float
) -> bool:
    """Call all functions concurrently, so that each has the whole time; return True if all succeeded in time.

    Only the bounded ones respect the time limit. The first of them is called in this thread: most services have one
    exporter and need no further thread.
    """
    timeout_s = min(max(0.0, timeout_s), _LONGEST_S)  # clocks accept it: NaN becomes 0, infinity a day
    deadline, millis = monotonic() + timeout_s, int(timeout_s * 1000)
    results: list[bool] = []
    threads = [
        thread
        for call in [*bounded[1:], *unbounded]
        if (thread := _in_thread(_recorded(partial(call, millis), results))) is not None
    ]
    if bounded:
        _recorded(partial(bounded[0], millis), results)()
    for thread in threads:
        # A bounded function may end a little late on a busy machine.
        grace_s = min(_GRACE_S, timeout_s / 20) if bounded else 0.0
        thread.join(max(0.0, deadline - monotonic()) + grace_s)
    return len(results) == len(bounded) + len(unbounded) and all(results)


def _recorded(call: Callable[[], bool], results: list[bool]) -> Callable[[], None]:
    def run() -> None:
        succeeded = False
        with guarded("flushing or shutting down a span processor"):
            succeeded = call() is not False  # processors of the SDK may return None
        results.append(succeeded)

    return run


def _in_thread(call: Callable[[], None]) -> NativeThread | None:
    thread = NativeThread(call, "eco2-tracing-flush", external=True)
    try:
        thread.start()
    except RuntimeError:
        # Python 3.12 and newer start no thread during interpreter shutdown.
        call()
        return None
    return thread
