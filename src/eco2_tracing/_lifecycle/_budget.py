"""One time budget for everything that the end of a process waits for."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

EXIT_BUDGET_S = 4.5
"""Seconds that the lifespan's end, a signal and the interpreter's exit may wait together."""


class ExitBudget:
    """Counts down from the first thing that ends.

    Args:
        total_s: Seconds in all.
        clock: Monotonic seconds.
    """

    def __init__(self, total_s: float = EXIT_BUDGET_S, clock: Callable[[], float] = monotonic) -> None:
        self._total_s = total_s
        self._clock = clock
        self._deadline: float | None = None

    def begin(self) -> None:
        """A lifespan begins: whatever ended before, the whole budget is there again."""
        self._deadline = None

    def remaining_s(self) -> float:
        """Seconds that are left; the first call starts the count."""
        now = self._clock()
        if self._deadline is None:
            self._deadline = now + self._total_s
        return max(0.0, self._deadline - now)
