"""One time budget for everything that the end of a process waits for, its forked workers' ends included."""

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
"""Seconds that the lifespan's end, a signal and the interpreter's exit may wait together.

Half of the five seconds in which a process without a collector is to be gone: on a busy machine the server's own end
and the interpreter's take one to two.
"""

RENEWAL_S = 30.0
"""Seconds without any waiting after which the whole budget is there again: nothing had ended then."""


WORKERS_END_S = 3.0
"""Seconds after a child's last waiting within which the end of its parent is part of the same end.

A server's master ends once its workers are gone. A worker that was replaced earlier has cost its master nothing.
"""

LEAST_S = 0.25
"""Seconds that a parent has in any case: enough for a collector that answers."""

_RECORD = struct.Struct("dd")


class ExitBudget:
    """Counts the seconds that were spent waiting; what a server does in between is not counted.

    A process that ends after its forked children waits for the rest of their seconds. They write what they spent into
    memory that is shared with it.

    Args:
        lock: Guards the count; a signal handler may take it twice.
        total_s: Seconds in all.
        clock: Monotonic seconds, the same for parent and child.
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
        """Return the budget of a forked child, which is the whole of it.

        Args:
            lock: Guards the count.
        """
        budget = ExitBudget(lock, self._total_s, self._clock)
        budget._for_parent = self._of_children
        return budget

    @contextmanager
    def spend(self) -> Iterator[float]:
        """Wait within the block; those who wait at the same time share the same seconds.

        Yields:
            Seconds that are left.
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
        """Subtract what the child that ended last has spent, once."""
        ended_at, spent_s = _RECORD.unpack_from(self._of_children)
        if ended_at != self._counted_at and now - ended_at <= WORKERS_END_S:
            self._counted_at = ended_at
            self._left_s = max(self._left_s - spent_s, min(self._left_s, LEAST_S))
