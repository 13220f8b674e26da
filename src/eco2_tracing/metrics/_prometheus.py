"""Serves metrics to Prometheus, with exemplars for OpenMetrics. Needs prometheus-client.

The names follow https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/. The exporter of
OpenTelemetry passes no exemplars on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics.export import Gauge, Histogram, HistogramDataPoint, Sum
from prometheus_client import start_http_server
from prometheus_client.core import (
    REGISTRY,
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from opentelemetry.sdk.metrics.export import Metric, MetricsData, NumberDataPoint
    from opentelemetry.util.types import Attributes
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family

_NOT_IN_NAMES = re.compile("[^a-zA-Z0-9_]+")
_UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "min": "minutes",
    "h": "hours",
    "d": "days",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "kBy": "kilobytes",
    "MBy": "megabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
}


class MetricsCollector(Collector):
    """A collector for a registry of prometheus-client.

    Args:
        collect: Returns the present data.
        registry: The registry that it is added to.
    """

    def __init__(
        self, collect: Callable[[], MetricsData | None], registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._collect = collect
        self._registry = registry
        registry.register(self)

    def describe(self) -> Iterable[Family]:
        """Return nothing: the names are not known before the first measurements."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Yield the families of metrics."""
        data = self._collect()
        if data is None:
            return
        families: dict[object, Family] = {}
        for one in data.resource_metrics:
            target = {_label(name): _text(value) for name, value in one.resource.attributes.items()}
            families["target"] = InfoMetricFamily("target", "Target metadata", value=target)
            for scope in one.scope_metrics:
                for metric in scope.metrics:
                    _add(families, metric, scope.scope.name)
        yield from families.values()

    def close(self) -> None:
        """Remove the collector from its registry."""
        self._registry.unregister(self)


def _add(families: dict[object, Family], metric: Metric, scope: str) -> None:
    data = metric.data
    unit = _unit(metric.unit or "")
    name = _name(metric.name, unit)
    points: list[HistogramDataPoint | NumberDataPoint] = list(data.data_points)  # type: ignore[arg-type] # not exponential: no output of this exporter is
    names = sorted({_label(key) for point in points for key in point.attributes or {}} | {"otel_scope_name"})
    text = metric.description or metric.name
    key = (name, *names)
    family: Family
    if isinstance(data, Histogram):
        family = families.setdefault(key, HistogramMetricFamily(name, text, labels=names, unit=unit))
    elif isinstance(data, Sum) and data.is_monotonic:
        family = families.setdefault(key, CounterMetricFamily(name, text, labels=names, unit=unit))
    elif isinstance(data, Sum | Gauge):
        family = families.setdefault(key, GaugeMetricFamily(name, text, labels=names, unit=unit))
    else:
        return
    for point in points:
        _add_point(family, point, _labels(point.attributes, names, scope))


def _add_point(family: Family, point: HistogramDataPoint | NumberDataPoint, labels: list[str]) -> None:
    if isinstance(family, HistogramMetricFamily) and isinstance(point, HistogramDataPoint):
        family.add_metric(labels, list(_buckets(point)), point.sum)
    elif isinstance(family, CounterMetricFamily | GaugeMetricFamily) and not isinstance(
        point, HistogramDataPoint
    ):
        family.add_metric(labels, point.value)


def _buckets(point: HistogramDataPoint) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
    """Yield upper bound, cumulative count and, if there is one, exemplar of each bucket."""
    bounds = [*map(float, point.explicit_bounds), float("inf")]
    lower = float("-inf")
    for upper, count in zip(bounds, accumulate(point.bucket_counts), strict=True):
        found = None
        for each in point.exemplars:
            if lower < each.value <= upper and each.trace_id:
                ids = {"trace_id": f"{each.trace_id:032x}", "span_id": f"{each.span_id or 0:016x}"}
                found = Exemplar(ids, each.value, each.time_unix_nano / 1e9)
        bucket = ("+Inf" if upper == float("inf") else repr(upper), count)
        yield bucket if found is None else (*bucket, found)
        lower = upper


def _labels(attributes: Attributes, names: list[str], scope: str) -> list[str]:
    found: dict[str, str] = {"otel_scope_name": scope}
    for key, value in sorted((attributes or {}).items()):
        label, text = _label(key), _text(value)
        # As specified: the values of names that become equal are joined.
        found[label] = f"{found[label]};{text}" if label in found else text
    return [found.get(name, "") for name in names]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _label(name: str) -> str:
    clean = _NOT_IN_NAMES.sub("_", name)
    return f"_{clean}" if clean[:1].isdecimal() else clean


def _name(name: str, unit: str) -> str:
    clean = _label(name).removesuffix("_total")
    return clean if not unit or clean.endswith(f"_{unit}") else f"{clean}_{unit}"


def _unit(unit: str) -> str:
    """Return the unit in words. Text in braces is dropped, as specified."""
    unit = re.sub(r"\{[^}]*\}", "", unit)
    if unit == "1":
        return ""
    over, slash, per = unit.partition("/")
    if slash:
        one = _UNITS.get(per, per).removesuffix("s")
        return _NOT_IN_NAMES.sub("_", f"{_UNITS.get(over, over)}_per_{one}").strip("_")
    return _NOT_IN_NAMES.sub("_", _UNITS.get(unit, unit)).strip("_")


class Served:
    """A running HTTP server.

    Args:
        server: The server of prometheus-client.
    """

    def __init__(self, server: WSGIServer) -> None:
        self._server = server

    def close(self) -> None:
        """Stop the server and close its port."""
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """In a forked child: close our copy of the port. The parent serves."""
        self._server.server_close()


def serve(host: str, port: int) -> Served:
    """Serve the registry in a thread.

    Raises:
        OSError: The port cannot be opened.
    """
    server, _ = start_http_server(port, host)
    return Served(server)
