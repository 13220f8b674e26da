"""The metrics of this library's own delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.metrics import CallbackOptions, Observation

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

    Read = Callable[[CallbackOptions], Iterable[Observation]]

_PREFIX = "eco2_tracing"
_UNITS = {"spans": "{span}", "log_records": "{record}"}
EXPORT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Upper bounds in seconds of the duration of one export request."""


class Delivered(NamedTuple):
    """The counts of one signal.

    Attributes:
        sent: Items that the receivers accepted.
        queued: Items that wait.
        dropped: Lost items by reason.
    """

    sent: int
    queued: int
    dropped: Mapping[str, int]


class Health:
    """The instruments of the library's own delivery.

    Args:
        counts: Returns the counts by items: ``spans`` and ``log_records``.
        kept: Returns the number of exported local traces by reason.
    """

    def __init__(
        self, counts: Callable[[], Mapping[str, Delivered]], kept: Callable[[], Mapping[str, int]]
    ) -> None:
        self._counts = counts
        self._kept = kept
        self._observe: Callable[[float, Mapping[str, str]], None] | None = None

    def add_to(self, meter: Meter) -> None:
        """Create the instruments."""
        for items in self._counts():
            unit = _UNITS[items]
            meter.create_observable_counter(
                f"{_PREFIX}.{items}.sent", [self._sent(items)], unit, "Accepted by the receiver."
            )
            meter.create_observable_counter(
                f"{_PREFIX}.{items}.dropped", [self._dropped(items)], unit, "Lost, by reason."
            )
            meter.create_observable_up_down_counter(
                f"{_PREFIX}.{items}.queued", [self._queued(items)], unit, "Waiting for export."
            )
        meter.create_observable_counter(
            f"{_PREFIX}.traces.kept", [self._traces], "{trace}", "Exported local traces, by reason."
        )
        histogram = meter.create_histogram(
            f"{_PREFIX}.export.duration",
            "s",
            "Duration of export requests, by signal.",
            explicit_bucket_boundaries_advisory=EXPORT_BUCKETS,
        )
        self._observe = histogram.record

    def exported(self, signal: str, seconds: float, error: str | None) -> None:
        """Record one export request.

        Args:
            signal: ``traces``, ``metrics`` or ``logs``.
            seconds: Its duration.
            error: ``None`` if it was accepted; otherwise why not, in one word.
        """
        if self._observe is not None:
            self._observe(seconds, {"signal": signal} | ({} if error is None else {"error.type": error}))

    def _sent(self, items: str) -> Read:
        return lambda _options: [Observation(self._counts()[items].sent)]

    def _queued(self, items: str) -> Read:
        return lambda _options: [Observation(self._counts()[items].queued)]

    def _dropped(self, items: str) -> Read:
        return lambda _options: _by_reason(self._counts()[items].dropped)

    def _traces(self, _options: CallbackOptions) -> Iterable[Observation]:
        return _by_reason(self._kept())


def _by_reason(counts: Mapping[str, int]) -> list[Observation]:
    return [Observation(count, {"reason": reason}) for reason, count in counts.items()]
