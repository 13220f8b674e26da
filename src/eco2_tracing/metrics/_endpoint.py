"""The endpoint of ``OTEL_METRICS_EXPORTER=prometheus``. prometheus-client is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from eco2_tracing._errors import MissingExtraError
from eco2_tracing._forks import renew_in_child
from eco2_tracing._guard import guarded, warn_once

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

    from eco2_tracing.metrics._prometheus import MetricsCollector, Served


def missing_package(name: str = "prometheus_client") -> str | None:
    """Return what is missing and how to install it; ``None`` if nothing is."""
    if find_spec(name) is not None:
        return None
    return str(MissingExtraError("OTEL_METRICS_EXPORTER=prometheus", "prometheus-client", "prometheus"))


class PrometheusEndpoint:
    """Adds the metrics to prometheus-client's registry, and serves that registry.

    The port is opened by the first measurement of a process: the parent of workers opens none.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        collect: Returns the present metrics.
    """

    def __init__(self, host: str, port: int, collect: Callable[[], MetricsData | None]) -> None:
        self._address = host, port
        self._collect = collect
        self._collector: MetricsCollector | None = None
        self._served: Served | None = None
        self._is_started = False
        renew_in_child(self)

    def install(self) -> None:
        """Add the metrics to the registry."""
        with guarded("adding metrics to the registry of prometheus-client"):
            from eco2_tracing.metrics._prometheus import MetricsCollector

            self._collector = MetricsCollector(self._collect)

    def start(self) -> None:
        """Open the port, once in a process."""
        if self._is_started or self._collector is None:
            return
        self._is_started = True
        with guarded("serving metrics to Prometheus"):
            from eco2_tracing.metrics._prometheus import serve

            try:
                self._served = serve(*self._address)
            except OSError as error:
                warn_once(
                    "prometheus:port",
                    "OTEL_METRICS_EXPORTER=prometheus: %s:%d cannot be opened: %s; one process can have it: "
                    "set OTEL_EXPORTER_PROMETHEUS_PORT to a free port, or export the metrics of several workers "
                    "with OTEL_METRICS_EXPORTER=otlp",
                    *self._address,
                    error,
                )

    def uninstall(self) -> None:
        """Close the port, and remove the metrics from the registry."""
        with guarded("ending the endpoint for Prometheus"):
            collector, self._collector = self._collector, None
            served, self._served = self._served, None
            self._is_started = False
            if served is not None:
                served.close()
            if collector is not None:
                collector.close()

    def after_fork(self) -> None:
        """In a forked child: the port is the parent's."""
        served, self._served = self._served, None
        self._is_started = False
        if served is not None:
            served.forget()
