"""Rate-limited logging of export failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eco2_tracing._export.signal import TRACES, Signal
from eco2_tracing._guard import guarded, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from eco2_tracing._export.batch.queue import SpanQueue
    from eco2_tracing._export.result import Reason

_DROPPED = "they are dropped, as sending them again would not help: look at"
_CURES = (
    "start a collector there, set OTEL_EXPORTER_OTLP_ENDPOINT to one that runs, or set {exporter} to {others}"
)
_REPORTS: dict[Reason | None, tuple[str, str]] = {
    None: ("{Items} do not reach {endpoint}", f"retrying: {_CURES}"),
    "export_failed": ("{Items} do not reach {endpoint}", f"they are dropped: {_CURES}"),
    "rejected": (
        "{endpoint} refuses {items}",
        f"{_DROPPED} OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL, or at the receiver's own log",
    ),
    "unauthenticated": (
        "{endpoint} does not accept the credentials that {items} are sent with",
        "they are dropped: look at OTEL_EXPORTER_OTLP_HEADERS and OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    ),
}

QUIET_S = 60.0
"""Seconds between two lines about failures."""


class FailureLog:
    """Logs when exports fail, and once when they succeed again.

    It writes at most one line a minute about failures and one about their end.
    """

    def __init__(
        self, endpoint: str, queue: SpanQueue, clock: Callable[[], float], signal: Signal = TRACES
    ) -> None:
        self._endpoint = endpoint
        self._signal = signal
        self._queue = queue
        self._clock = clock
        self._failing_since: float | None = None
        self._failure_logged = False
        self._quiet_until = float("-inf")
        self._overflow = (0, 0)

    def failed(
        self, error: str, reason: Reason | None = None, lost: int = 0, *, since: float | None = None
    ) -> None:
        """Record a failed request.

        Args:
            error: The error, without secrets.
            reason: Reason its spans are dropped for; ``None`` if the request is retried.
            lost: Spans about to be counted as dropped.
            since: Reading of the clock when the request was sent; now by default.
        """
        self._queue.record_error(error)
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now if since is None else since
        if not self._may_log(now):
            return
        self._failure_logged = True
        headline, consequence = (self._worded(text) for text in _REPORTS[reason])
        _log(
            "%s: %s (%d queued, %d dropped so far); %s; next report in %d s at the earliest",
            headline,
            error,
            self._queue.queued() - lost,
            self._queue.lost() + lost,
            consequence,
            QUIET_S,
        )

    def advised(self, message: str) -> None:
        """Record a request that was accepted with a message from the receiver."""
        self._queue.record_error(message)
        if self._failing_since is not None:
            self.delivered()
        elif self._may_log(self._clock()):
            _log("%s accepts the %s with a message: %s", self._endpoint, self._signal.items, message)

    def delivered(self) -> None:
        """Record a request that was accepted. Log the end of a failure, or spans lost to a full queue."""
        now = self._clock()
        overflow = self._queue.dropped["queue_full"], self._queue.shortened
        if self._failing_since is not None:
            if self._failure_logged:
                _log(
                    "%s reach %s again after %.0f s (%d queued, %d dropped so far)",
                    self._signal.items.capitalize(),
                    self._endpoint,
                    now - self._failing_since,
                    self._queue.queued(),
                    self._queue.lost(),
                )
            self._failing_since, self._failure_logged = None, False
            self._overflow = overflow
        elif overflow != self._overflow and self._may_log(now):
            dropped, shortened = self._overflow
            self._overflow = overflow
            _log(
                "%d %s were dropped and %d shortened: %s faster than %s takes them "
                "(%s is %d: the queue holds that many %s, and %d KiB of long texts; "
                "a shorter %s helps against bursts)",
                overflow[0] - dropped,
                self._signal.items,
                overflow[1] - shortened,
                self._signal.produced,
                self._endpoint,
                self._signal.queue_size,
                self._queue.size,
                self._signal.items,
                self._queue.byte_limit // 1024,
                self._signal.schedule_delay,
            )

    def _worded(self, text: str) -> str:
        signal = self._signal
        return text.format(
            Items=signal.items.capitalize(),
            items=signal.items,
            endpoint=self._endpoint,
            exporter=signal.exporter,
            others=signal.others,
        )

    def _may_log(self, now: float) -> bool:
        if now < self._quiet_until:
            return False
        self._quiet_until = now + QUIET_S
        return True


def _log(message: str, *args: object) -> None:
    with guarded("logging about deliveries"):  # a handler of the application may raise
        warn(message, *args)
