"""The three signals: their services, their names and the variables that configure their delivery."""

from __future__ import annotations

from typing import Literal, NamedTuple

SignalName = Literal["traces", "metrics", "logs"]


class Signal(NamedTuple):
    """One signal.

    Attributes:
        name: ``traces``, ``metrics`` or ``logs``.
        items: What is delivered, in log messages.
        produced: What happens for each of them, in log messages.
        grpc_path: Path of the method of the collector's gRPC service.
        exporter: Variable that selects the exporters.
        others: Exporters that need no collector, for log messages.
        queue_size: Variable with the size of the queue.
        schedule_delay: Variable with the time between two exports.
    """

    name: SignalName
    items: str
    produced: str
    grpc_path: str
    exporter: str
    others: str
    queue_size: str
    schedule_delay: str


def _service(name: str) -> str:
    return f"/opentelemetry.proto.collector.{name.lower()}.v1.{name}Service/Export"


TRACES = Signal(
    "traces",
    "spans",
    "spans end",
    _service("Trace"),
    "OTEL_TRACES_EXPORTER",
    "waterfall, which prints traces, or to none",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_SCHEDULE_DELAY",
)
METRICS = Signal(
    "metrics",
    "metrics",
    "metrics are collected",
    _service("Metrics"),
    "OTEL_METRICS_EXPORTER",
    "none",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_INTERVAL",
)
LOGS = Signal(
    "logs",
    "log records",
    "log lines are written",
    _service("Logs"),
    "OTEL_LOGS_EXPORTER",
    "none",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_SCHEDULE_DELAY",
)
