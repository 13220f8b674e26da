"""A time budget that all waits at the end of a process share, including those of its forked workers."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


class ExitBudget:
    """Counts the seconds spent waiting, but not those between waits.

    Forked children write the seconds that they spent into shared memory. Their parent has the rest.

    Args:
        lock: Protects the count; re-entrant because of signal handlers.
        total_s: The whole budget in seconds.
        clock: Monotonic seconds, the same in parent and child.
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
        """Count the time of the block. Concurrent blocks share the same seconds.

        Yields:
            Seconds left.
        """
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
