"""The metrics of one configuration: the SDK's provider, its readers, and what is aggregated beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    Counter,
    ExemplarFilter,
    Histogram,
    MeterProvider,
    ObservableCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, ScopeMetrics
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from eco2_tracing._compat.sdk import WithoutForkHook
from eco2_tracing._forks import renew_in_child
from eco2_tracing.metrics._exemplars import exported_context
from eco2_tracing.metrics._http import HttpMetrics, aggregated, instrumented
from eco2_tracing.metrics._meters import meters
from eco2_tracing.metrics._points import active_sum, histogram, merged
from eco2_tracing.metrics._ticker import Ticker

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics.export import Metric, MetricsData
    from opentelemetry.sdk.metrics.view import Aggregation
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.util.types import Attributes

    from eco2_tracing.metrics._histograms import Durations, Store

HTTP_SCHEMA = "https://opentelemetry.io/schemas/1.40.0"
"""The schema of the stable HTTP conventions."""

HEALTH_SCOPE = "eco2_tracing.health"
APPLICATION_SCOPE = "eco2_tracing.metrics"
_DELTA: Mapping[str, frozenset[type]] = {
    "cumulative": frozenset(),
    "delta": frozenset({Counter, Histogram, ObservableCounter}),
    "lowmemory": frozenset({Counter, Histogram}),
}


class Output(NamedTuple):
    """One exporter of metrics.

    Attributes:
        deliver: Takes what is collected at each interval; ``None`` for an exporter that is asked.
        temporality: ``cumulative``, ``delta`` or ``lowmemory``, as in the specification.
        is_exponential: Histograms have exponential buckets.
    """

    deliver: Callable[[MetricsData], None] | None
    temporality: str = "cumulative"
    is_exponential: bool = False


class _ExportedTraces(ExemplarFilter):
    """Exemplars are measurements in exported traces. Unlike the SDK's filter, it creates no ids."""

    def should_sample(
        self, value: float, time_unix_nano: int, attributes: Attributes, context: Context
    ) -> bool:
        """Return True in an exported trace."""
        return exported_context(context) is not None


_FILTERS: Mapping[str, Callable[[], ExemplarFilter]] = {
    "trace_based": _ExportedTraces,
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
}


class _SdkProvider(WithoutForkHook, MeterProvider):
    """The SDK's provider. In a child process `Pipeline` makes another one."""


class Scopes(NamedTuple):
    """Names of the instrumentation scopes of requests and calls."""

    server: str
    client: str


class Pipeline:
    """Collects metrics for each exporter.

    Args:
        outputs: The exporters.
        resource: Returns the resource of this process.
        scopes: Names of the instrumentation scopes.
        interval_s: Seconds between two collections.
        exemplar_filter: ``trace_based``, ``always_on`` or ``always_off``.
        add_health: Creates the instruments of this library's health with a meter.
        on_start: Called by the first measurement of each process.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        resource: Callable[[], Resource],
        scopes: Scopes,
        *,
        interval_s: float,
        exemplar_filter: str = "trace_based",
        add_health: Callable[[Meter], None],
        on_start: Callable[[], None],
    ) -> None:
        self._on_start = on_start
        self._is_started = False
        self._outputs = outputs
        self._resource = resource
        self._scopes = scopes
        self._exemplar_filter = exemplar_filter
        self._add_health = add_health
        has_exemplars = exemplar_filter != "always_off"
        self._server, self._active, self._client = aggregated(has_exemplars=has_exemplars)
        # The SDK's own histograms have exponential buckets, and exemplars outside of traces.
        uses_sdk = exemplar_filter == "always_on" or any(each.is_exponential for each in outputs)
        self._stores = [
            (self._store(self._server, each), self._store(self._client, each)) for each in outputs
        ]
        self.ticker = Ticker(self._tick, interval_s)
        self._make_provider()
        if uses_sdk:
            self.http = instrumented(self._http_meter(scopes.server), self._http_meter(scopes.client))
        else:
            self.http = HttpMetrics(self._server, self._active, self._client)
        renew_in_child(self)

    @staticmethod
    def _store(durations: Durations, output: Output) -> Store:
        # Several servers may scrape one endpoint.
        is_delta = Histogram in _DELTA[output.temporality]
        return durations.add_store(is_delta=is_delta, keeps_exemplars=output.deliver is None)

    def _make_provider(self) -> None:
        self._readers = [_reader(output) for output in self._outputs]
        self.provider = _SdkProvider(
            self._readers,
            self._resource(),
            _FILTERS[self._exemplar_filter](),
            shutdown_on_exit=False,
        )
        self._add_health(self.provider.get_meter(HEALTH_SCOPE))

    @staticmethod
    def _http_meter(scope: str) -> Meter:
        return meters.get_meter(scope, schema_url=HTTP_SCHEMA)

    def install(self, flush: Callable[[float], bool]) -> None:
        """Pass the measurements of the application on to this pipeline.

        Args:
            flush: Exports everything within a number of seconds.
        """
        self._flush_all = flush
        meters.bind(self.provider, self.start, flush)

    def uninstall(self) -> None:
        """Undo ``install``."""
        meters.bind(None)

    def start(self) -> None:
        """Start the thread, once in a process."""
        if not self._is_started:
            self._is_started = True
            if any(output.deliver is not None for output in self._outputs):
                self.ticker.start()
            self._on_start()

    def flush(self, timeout_s: float) -> bool:
        """Collect now; return True if that ended in time."""
        return self.ticker.flush(timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Collect a last time and end the thread; return True if that ended in time."""
        return self.ticker.stop(timeout_s)

    def _tick(self) -> None:
        for index, output in enumerate(self._outputs):
            if output.deliver is not None and (data := self.collect(index)) is not None:
                output.deliver(data)

    def collect(self, index: int) -> MetricsData | None:
        """Return everything for the exporter of this index; ``None`` if there is nothing."""
        server, client = self._stores[index]
        further = [
            _scope(self._scopes.server, histogram(self._server, server), active_sum(self._active)),
            _scope(self._scopes.client, histogram(self._client, client)),
        ]
        return merged(self._readers[index].get_metrics_data(), further, self._resource())

    def after_fork(self) -> None:
        """In a forked child: measurements begin anew, with a provider of its own."""
        self._is_started = False
        was_installed = meters.is_bound_to(self.provider)
        self._make_provider()
        if was_installed:
            self.install(self._flush_all)


def _reader(output: Output) -> InMemoryMetricReader:
    temporality = dict.fromkeys(_DELTA[output.temporality], AggregationTemporality.DELTA)
    aggregation: dict[type, Aggregation] = {}
    if output.is_exponential:
        aggregation[Histogram] = ExponentialBucketHistogramAggregation()
    return InMemoryMetricReader(temporality, aggregation)


def _scope(name: str, *metrics: Metric | None) -> ScopeMetrics:
    found = [metric for metric in metrics if metric is not None]
    return ScopeMetrics(InstrumentationScope(name, schema_url=HTTP_SCHEMA), found, HTTP_SCHEMA)
