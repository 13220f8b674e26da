"""The global meter provider: its meters and instruments stay valid in forked children and after a reconfiguration.

Each instrument passes measurements on to an instrument of the SDK. In a child process that is one of a new provider of
the SDK, which starts from zero and has locks of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from eco2_tracing._forks import notice_fork, renew_in_child
from eco2_tracing._guard import guarded
from eco2_tracing._native import RLock
from eco2_tracing.metrics._attributes import masked
from eco2_tracing.metrics._instruments import (
    Counter,
    Gauge,
    Histogram,
    Instrument,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

    from eco2_tracing.metrics._instruments import Create

Callback = Callable[[CallbackOptions], Iterable[Observation]]
Callbacks = Sequence[Callback | Generator[Iterable[Observation], CallbackOptions, None]] | None


class Meter(metrics.Meter):
    """A meter of the API, whose instruments pass measurements on.

    Args:
        provider: The provider.
        name, version, schema_url, attributes: As of the API.
    """

    def __init__(
        self,
        provider: MeterProvider,
        name: str,
        version: str | None,
        schema_url: str | None,
        attributes: Attributes,
    ) -> None:
        super().__init__(name, version, schema_url)
        self._provider = provider
        self._scope = (name, version, schema_url, attributes)
        self._instruments: list[Instrument] = []
        self._target: metrics.Meter | None = None

    def bind(self, provider: metrics.MeterProvider | None) -> None:
        """Use the instruments of this provider of the SDK, or none."""
        self._target = None if provider is None else provider.get_meter(*self._scope)
        for instrument in tuple(self._instruments):
            instrument.bind(self._target)

    def _added(self, instrument: Instrument) -> Any:
        self._instruments.append(instrument)
        notice_fork()
        instrument.bind(self._target)
        return instrument

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        """Return a counter."""
        create: Create = lambda meter: meter.create_counter(name, unit, description)  # noqa: E731
        return cast("metrics.Counter", self._added(Counter(name, self._provider.touch, create)))

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> metrics.UpDownCounter:
        """Return a counter that may fall."""
        create: Create = lambda meter: meter.create_up_down_counter(name, unit, description)  # noqa: E731
        return cast("metrics.UpDownCounter", self._added(UpDownCounter(name, self._provider.touch, create)))

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        """Return a histogram."""

        def create(meter: metrics.Meter) -> metrics.Histogram:
            return meter.create_histogram(
                name,
                unit,
                description,
                explicit_bucket_boundaries_advisory=explicit_bucket_boundaries_advisory,
            )

        return cast("metrics.Histogram", self._added(Histogram(name, self._provider.touch, create)))

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        """Return a gauge."""
        create: Create = lambda meter: meter.create_gauge(name, unit, description)  # noqa: E731
        return self._added(Gauge(name, self._provider.touch, create))

    def create_observable_counter(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableCounter:
        """Return a counter that is read by callbacks."""
        reads = _masking(callbacks)
        create: Create = lambda meter: meter.create_observable_counter(name, reads, unit, description)  # noqa: E731
        return cast("metrics.ObservableCounter", self._observable(ObservableCounter, name, create))

    def create_observable_up_down_counter(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableUpDownCounter:
        """Return a counter that may fall and is read by callbacks."""
        reads = _masking(callbacks)

        def create(meter: metrics.Meter) -> metrics.ObservableUpDownCounter:
            return meter.create_observable_up_down_counter(name, reads, unit, description)

        return cast(
            "metrics.ObservableUpDownCounter", self._observable(ObservableUpDownCounter, name, create)
        )

    def create_observable_gauge(
        self, name: str, callbacks: Callbacks = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableGauge:
        """Return a gauge that is read by callbacks."""
        reads = _masking(callbacks)
        create: Create = lambda meter: meter.create_observable_gauge(name, reads, unit, description)  # noqa: E731
        return cast("metrics.ObservableGauge", self._observable(ObservableGauge, name, create))

    def _observable(self, kind: type[Instrument], name: str, create: Create) -> Any:
        self._provider.touch()
        return self._added(kind(name, self._provider.touch, create))


def _masking(callbacks: Callbacks) -> list[Callback]:
    """Return callbacks whose attributes are masked."""
    return [_masked_callback(each) for each in callbacks or ()]


def _masked_callback(
    callback: Callback | Generator[Iterable[Observation], CallbackOptions, None],
) -> Callback:
    read: Callback
    if isinstance(callback, Generator):
        next(callback)  # as the SDK does: the generator waits for the options
        read = callback.send
    else:
        read = callback

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(each.value, masked(each.attributes), each.context) for each in read(options)]

    return observe


class MeterProvider(metrics.MeterProvider):
    """The provider of this process."""

    def __init__(self) -> None:
        self._used: Callable[[], None] = _nothing
        self._meters: dict[object, Meter] = {}
        self._target: metrics.MeterProvider | None = None
        self._flush: Callable[[float], bool] = _delivered
        self._lock = RLock()
        renew_in_child(self)

    def touch(self) -> None:
        """Start the export thread, if there is a pipeline whose thread does not run in this process."""
        self._used()

    def is_bound_to(self, target: metrics.MeterProvider) -> bool:
        """Return whether measurements are passed on to this provider."""
        return self._target is target

    def bind(
        self,
        target: metrics.MeterProvider | None,
        used: Callable[[], None] | None = None,
        flush: Callable[[float], bool] | None = None,
    ) -> None:
        """Pass measurements on to a provider of the SDK, or to none.

        Args:
            target: The provider of the SDK.
            used: Starts the export thread.
            flush: Exports everything within a number of seconds.
        """
        self._target = target
        self._used, self._flush = used or _nothing, flush or _delivered
        with guarded("the instruments of the application"):
            for meter in tuple(self._meters.values()):
                meter.bind(target)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Meter:
        """Return the meter of an instrumentation scope."""
        key = (name, version, schema_url, tuple(sorted(masked(attributes) or ())))
        with self._lock:
            meter = self._meters.get(key)
            if meter is None:
                meter = self._meters[key] = Meter(self, name, version, schema_url, attributes)
                meter.bind(self._target)
            return meter

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Export everything; return True if all of it arrived in time."""
        return self._flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Export everything. The pipeline ends with `shutdown_tracing`."""
        self._flush(timeout_millis / 1000)

    def after_fork(self) -> None:
        """In a forked child: replace the lock."""
        self._lock = RLock()


def _nothing() -> None:
    """Do nothing: there is no pipeline."""


def _delivered(_seconds: float) -> bool:
    return True


meters = MeterProvider()
"""The meters of this process. They stay valid after a reconfiguration, because modules keep their instruments."""
