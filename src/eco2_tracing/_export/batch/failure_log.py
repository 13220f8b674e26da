"""What the log hears of deliveries: seldom, and the news rather than the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eco2_tracing._guard import internal_failure, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.batch.queue import SpanQueue
    from eco2_tracing._export.result import Reason

_HEADLINES: dict[Reason | None, str] = {
    None: "Spans do not reach %s",
    "export_failed": "Spans do not reach %s",
    "rejected": "%s refuses spans",
    "unauthenticated": "%s does not accept the credentials that spans are sent with",
}
_CONSEQUENCES: dict[Reason | None, str] = {
    None: "retrying",
    "export_failed": "they are dropped",
    "rejected": "they are dropped, as sending them again would not help: "
    "look at OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL, or at the receiver's own log",
    "unauthenticated": "they are dropped: look at OTEL_EXPORTER_OTLP_HEADERS "
    "and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
}

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
        self._overflow = (0, 0)

    def failed(
        self, error: str, reason: Reason | None = None, lost: int = 0, *, since: float | None = None
    ) -> None:
        """Note that a request was not delivered.

        Args:
            error: Why, without secrets.
            reason: As what its spans are counted; ``None`` where it is tried again.
            lost: How many spans are about to be counted so.
            since: Reading of the clock when the request was sent, which may have hung for long; now by default.
        """
        self._queue.note_error(error)
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now if since is None else since
        if not self._may_speak(now):
            return
        self._told = True
        _say(
            "%s: %s (%d queued, %d dropped so far); %s; next report in %d s at the earliest",
            _HEADLINES[reason] % self._endpoint,
            error,
            self._queue.queued() - lost,
            self._queue.lost() + lost,
            _CONSEQUENCES[reason],
            QUIET_S,
        )

    def advised(self, error: str) -> None:
        """Note that a request arrived, and that the receiver has something to say about it.

        Args:
            error: What it says, without secrets.
        """
        self._queue.note_error(error)
        if self._failing_since is not None:
            self.delivered()
        elif self._may_speak(self._clock()):
            _say("%s takes the spans, and says: %s", self._endpoint, error)

    def delivered(self) -> None:
        """Note that a request arrived whole."""
        now = self._clock()
        overflow = self._queue.dropped["queue_full"], self._queue.shortened
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
            self._overflow = overflow
        elif overflow != self._overflow and self._may_speak(now):
            dropped, shortened = self._overflow
            self._overflow = overflow
            _say(
                "%d spans were dropped and %d shortened: more ends in a moment than may wait for %s "
                "(OTEL_BSP_MAX_QUEUE_SIZE is %d: so many spans, and %d KiB of long texts; "
                "OTEL_BSP_SCHEDULE_DELAY may be shortened)",
                overflow[0] - dropped,
                overflow[1] - shortened,
                self._endpoint,
                self._queue.size,
                self._queue.room // 1024,
            )

    def _may_speak(self, now: float) -> bool:
        if now < self._quiet_until:
            return False
        self._quiet_until = now + QUIET_S
        return True


def _say(message: str, *args: object) -> None:
    try:
        warn(message, *args)
    except Exception:  # noqa: BLE001 - a handler of the application; deliveries go on
        internal_failure("logging about deliveries")
