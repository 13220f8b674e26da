"""The metrics of one configuration. Imported only if metrics are exported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricsData

from eco2_tracing._compat.api import forget_global_meter_provider, global_meter_provider
from eco2_tracing._export.metrics import MetricsExporter
from eco2_tracing._guard import internal_failure, logger, result_or_error
from eco2_tracing._instrumentation.common.state import CLIENT_SCOPE, SERVER_SCOPE
from eco2_tracing._settings import shown_endpoint
from eco2_tracing.metrics._attributes import shared
from eco2_tracing.metrics._endpoint import PrometheusEndpoint
from eco2_tracing.metrics._http import instrumented
from eco2_tracing.metrics._meters import meters
from eco2_tracing.metrics._pipeline import (
    APPLICATION_SCOPE,
    HEALTH_SCOPE,
    HTTP_SCHEMA,
    Output,
    Pipeline,
    Scopes,
)
from eco2_tracing.metrics._recording import recording

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from eco2_tracing._export.batch.batcher import Batcher
    from eco2_tracing._export.destinations import Destinations
    from eco2_tracing._redaction import Redactor
    from eco2_tracing._settings import Settings
    from eco2_tracing.metrics._health import Health
    from eco2_tracing.metrics._http import HttpMetrics


class ExternalMetrics:
    """Records metrics with a meter provider that the application has installed.

    Args:
        provider: The provider.
        health: The instruments of this library's own delivery.
    """

    batchers: tuple[Batcher, ...] = ()

    def __init__(self, provider: metrics.MeterProvider, health: Health) -> None:
        self._provider = provider
        server = provider.get_meter(SERVER_SCOPE, schema_url=HTTP_SCHEMA)
        self.http: HttpMetrics = instrumented(
            server, provider.get_meter(CLIENT_SCOPE, schema_url=HTTP_SCHEMA)
        )
        health.add_to(provider.get_meter(HEALTH_SCOPE))

    def install(self) -> None:
        """Make ``record_metric`` use the provider."""
        recording.use(self._provider.get_meter(APPLICATION_SCOPE))
        logger.warning(
            "a meter provider is already installed (%s.%s): it stays in charge of metrics and their export, "
            "OTEL_METRICS_EXPORTER is not used",
            type(self._provider).__module__,
            type(self._provider).__qualname__,
        )

    def uninstall(self) -> None:
        """Undo ``install``."""
        recording.use(None)

    def start(self) -> None:
        """Do nothing: the provider has its own threads."""

    def flush(self, timeout_millis: int) -> bool:
        """Flush the provider; return True if it has delivered everything in time."""
        flush = getattr(self._provider, "force_flush", None)
        if flush is None or timeout_millis <= 0:
            return flush is None
        # The SDK raises where the time is over.
        return result_or_error(flush, timeout_millis) is True

    def shutdown(self, timeout_millis: int) -> bool:
        """Flush the provider, which is the application's."""
        return self.flush(timeout_millis)


class OwnMetrics:
    """Collects and exports metrics.

    Args:
        settings: The settings.
        resource: Returns the resource of this process.
        redactor: Masks secrets in attributes.
        destinations: Connections that signals share.
        health: The instruments of this library's own delivery.
    """

    def __init__(
        self,
        settings: Settings,
        resource: Callable[[], Resource],
        redactor: Redactor,
        destinations: Destinations,
        health: Health,
    ) -> None:
        self._redactor = redactor
        self._endpoint: PrometheusEndpoint | None = None
        outputs: list[Output] = []
        exporter = _otlp(settings, destinations) if "otlp" in settings.metrics_exporter else None
        self.batchers = () if exporter is None else (exporter.batcher,)
        if exporter is not None:
            aggregation = settings.exporter_otlp_metrics_default_histogram_aggregation
            outputs.append(
                Output(
                    exporter.deliver,
                    settings.exporter_otlp_metrics_temporality_preference,
                    is_exponential=aggregation == "base2_exponential_bucket_histogram",
                )
            )
        if "console" in settings.metrics_exporter:
            outputs.append(Output(_print))
        if "prometheus" in settings.metrics_exporter:
            address = settings.exporter_prometheus_host, settings.exporter_prometheus_port
            index = len(outputs)
            self._endpoint = PrometheusEndpoint(*address, lambda: self.pipeline.collect(index))
            outputs.append(Output(None))
        self.pipeline = Pipeline(
            outputs,
            resource,
            Scopes(SERVER_SCOPE, CLIENT_SCOPE),
            interval_s=settings.metric_export_interval / 1000,
            exemplar_filter=settings.metrics_exemplar_filter,
            add_health=health.add_to,
            on_start=self._start_endpoint,
        )
        self.http: HttpMetrics = self.pipeline.http

    def install(self) -> None:
        """Make the API and ``record_metric`` use the pipeline."""
        shared.redactor = self._redactor
        self.pipeline.install(lambda seconds: self.flush(int(seconds * 1000)))
        metrics.set_meter_provider(meters)
        recording.use(meters.get_meter(APPLICATION_SCOPE))
        if self._endpoint is not None:
            self._endpoint.install()

    def uninstall(self) -> None:
        """Undo ``install``."""
        recording.use(None)
        self.pipeline.uninstall()
        if self._endpoint is not None:
            self._endpoint.uninstall()
        if global_meter_provider() is meters:
            try:
                forget_global_meter_provider()
            except AttributeError:  # a version of the API without the private names
                internal_failure("putting the API's meter provider back")

    def start(self) -> None:
        """Start the thread and open the port of a process that serves requests."""
        self.pipeline.start()

    def _start_endpoint(self) -> None:
        if self._endpoint is not None:
            self._endpoint.start()

    def flush(self, timeout_millis: int) -> bool:
        """Collect and export now; return True if everything was delivered in time."""
        deadline = monotonic() + timeout_millis / 1000
        is_collected = self.pipeline.flush(timeout_millis / 1000)
        flushes = [each.force_flush(_left(deadline)) for each in self.batchers]
        return is_collected and all(flushes)

    def shutdown(self, timeout_millis: int) -> bool:
        """Collect and export a last time, and end the threads; return True if everything was delivered in time."""
        deadline = monotonic() + timeout_millis / 1000
        is_collected = self.pipeline.stop(timeout_millis / 1000)
        ends = [each.shutdown(_left(deadline)) for each in self.batchers]
        return is_collected and all(ends)


def build_metrics(
    settings: Settings,
    resource: Callable[[], Resource],
    redactor: Redactor,
    destinations: Destinations,
    health: Health,
) -> OwnMetrics | ExternalMetrics:
    """Build the metrics of a configuration; see `OwnMetrics` for the arguments."""
    provider = global_meter_provider()
    if provider is None or provider is meters:
        return OwnMetrics(settings, resource, redactor, destinations, health)
    return ExternalMetrics(provider, health)


def _otlp(settings: Settings, destinations: Destinations) -> MetricsExporter | None:
    try:
        return MetricsExporter(settings, destinations)
    except ValueError as error:
        logger.warning(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: %r cannot be used, no metrics are sent: %s",
            shown_endpoint(settings.otlp_metrics.endpoint),
            error,
        )
        return None


def _print(data: MetricsData) -> None:
    # The default of `out` is the stdout of the time when the SDK was imported.
    ConsoleMetricExporter(out=sys.stdout).export(data)


def _left(deadline: float) -> float:
    return max(0.0, deadline - monotonic()) * 1000
