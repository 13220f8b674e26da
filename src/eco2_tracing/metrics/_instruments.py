"""Instruments of the API that pass measurements on to an instrument of the SDK, which may be replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics

from eco2_tracing._compat.api import gauge_class
from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._guard import guarded, internal_failure
from eco2_tracing.metrics._attributes import masked
from eco2_tracing.metrics._histograms import MOST_SERIES, OVERFLOW

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes

    Number = int | float
    Create = Callable[[metrics.Meter], object]

_Gauge = gauge_class()


class Instrument:
    """An instrument that passes measurements on.

    Args:
        name: Its name.
        used: Called before each measurement.
        create: Creates the SDK's instrument with a meter of the SDK.
    """

    def __init__(self, name: str, used: Callable[[], None], create: Create) -> None:
        self.name = name
        self._used = used
        self._create = create
        self._target: Any = None
        self._series: set[object] = set()

    def bind(self, meter: metrics.Meter | None) -> None:
        """Pass measurements on to an instrument of this meter, or to none."""
        self._target = None
        self._series = set()
        if meter is not None:
            with guarded(f"creating the instrument {self.name!r}"):
                self._target = self._create(meter)

    def _measured(self, method: str, value: Number, attributes: Attributes, context: Context | None) -> None:
        """Pass a measurement on. Without a configuration this does nothing."""
        try:
            if not mark[0]:
                notice_fork()
            if self._target is not None:
                self._used()
                getattr(self._target, method)(value, self._bounded(masked(attributes)), context)
        except Exception:  # noqa: BLE001 - the application's code goes on
            internal_failure("recording a measurement")

    def _bounded(self, attributes: Attributes) -> Attributes:
        """Return the attributes, or those of the overflow for a set of attributes beyond the limit."""
        if attributes:
            key = repr(attributes)
            if key not in self._series:
                if len(self._series) >= MOST_SERIES - 1:
                    return OVERFLOW
                self._series.add(key)
        return attributes


class Counter(Instrument, metrics.Counter):
    """A counter."""

    def add(self, amount: Number, attributes: Attributes = None, context: Context | None = None) -> None:
        """Add an amount that is not negative."""
        self._measured("add", amount, attributes, context)


class UpDownCounter(Instrument, metrics.UpDownCounter):
    """A counter that may fall."""

    def add(self, amount: Number, attributes: Attributes = None, context: Context | None = None) -> None:
        """Add an amount."""
        self._measured("add", amount, attributes, context)


class Histogram(Instrument, metrics.Histogram):
    """A histogram."""

    def record(self, amount: Number, attributes: Attributes = None, context: Context | None = None) -> None:
        """Record an amount."""
        self._measured("record", amount, attributes, context)


class Gauge(Instrument, _Gauge):  # type: ignore[misc,valid-type] # the API has no public name for the class
    """A gauge."""

    def set(self, amount: Number, attributes: Attributes = None, context: Context | None = None) -> None:
        """Set the value."""
        self._measured("set", amount, attributes, context)


class ObservableCounter(Instrument, metrics.ObservableCounter):
    """A counter that is read by callbacks."""


class ObservableUpDownCounter(Instrument, metrics.ObservableUpDownCounter):
    """A counter that may fall and is read by callbacks."""


class ObservableGauge(Instrument, metrics.ObservableGauge):
    """A gauge that is read by callbacks."""
