"""One time budget for everything that the end of a process waits for."""

from __future__ import annotations

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


class ExitBudget:
    """Counts the seconds that were spent waiting; what a server does in between is not counted.

    Args:
        lock: Guards the count; a signal handler may take it twice.
        total_s: Seconds in all.
        clock: Monotonic seconds.
    """

    def __init__(
        self, lock: RLock, total_s: float = EXIT_BUDGET_S, clock: Callable[[], float] = monotonic
    ) -> None:
        self._lock = lock
        self._total_s = total_s
        self._clock = clock
        self._left_s = total_s
        self._waiting = 0
        self._deadline = 0.0
        self._ended_at = clock()

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
