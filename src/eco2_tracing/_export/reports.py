"""What the log hears of deliveries: seldom, and the news rather than the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eco2_tracing._guard import internal_failure, logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.accounts import SpanQueue

QUIET_S = 60.0
"""Seconds between two lines about trouble."""


class Reporter:
    """Tells the log when deliveries fail, and once when they work again.

    At most one line a minute about trouble and one about its end: two lines a minute, however often the collector
    comes and goes.

    Args:
        endpoint: Where spans go, without credentials.
        queue: Has the figures.
        clock: Monotonic seconds.
    """

    def __init__(self, endpoint: str, queue: SpanQueue, clock: Callable[[], float]) -> None:
        self._endpoint = endpoint
        self._queue = queue
        self._clock = clock
        self._failing_since: float | None = None
        self._told = False
        self._quiet_until = float("-inf")
        self._overflown = 0

    def failed(self, error: str) -> None:
        """Note that a request was not delivered.

        Args:
            error: Why, without secrets.
        """
        self._queue.note_error(error)
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        if not self._may_speak(now):
            return
        self._told = True
        _say(
            "Spans do not reach %s: %s (%d queued, %d dropped so far); retrying, next report in %d s at the earliest",
            self._endpoint,
            error,
            self._queue.queued(),
            self._queue.lost(),
            QUIET_S,
        )

    def delivered(self) -> None:
        """Note that a request arrived whole."""
        now = self._clock()
        if self._failing_since is not None:
            if self._told:
                _say(
                    "Spans reach %s again after %.0f s (%d queued, %d dropped so far)",
                    self._endpoint,
                    now - self._failing_since,
                    self._queue.queued(),
                    self._queue.lost(),
                )
            self._failing_since, self._told = None, False
            self._overflown = self._queue.dropped["queue_full"]
        elif self._queue.dropped["queue_full"] > self._overflown and self._may_speak(now):
            overflow = self._queue.dropped["queue_full"] - self._overflown
            self._overflown += overflow
            _say(
                "%d spans were dropped: they end faster than %s takes them "
                "(OTEL_BSP_MAX_QUEUE_SIZE is %d, OTEL_BSP_SCHEDULE_DELAY may be shortened)",
                overflow,
                self._endpoint,
                self._queue.capacity,
            )

    def _may_speak(self, now: float) -> bool:
        if now < self._quiet_until:
            return False
        self._quiet_until = now + QUIET_S
        return True


def _say(message: str, *args: object) -> None:
    try:
        logger.warning(message, *args)
    except Exception:  # noqa: BLE001 - a handler of the application; deliveries go on
        internal_failure("logging about deliveries")
