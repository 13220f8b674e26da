"""Settings of metrics and of log records."""

from __future__ import annotations

from eco2_tracing._settings.reference.setting import Setting

_S = Setting
# Settings of the export with an example, by the end of their names; they have a form for each signal.
_EXPORT = {
    "protocol": "http/protobuf",
    "endpoint": "http://otel-collector.observability.svc:4317",
    "insecure": "true",
    "headers": "api-key=s3cret",
    "timeout": "5000",
    "compression": "gzip",
    "certificate": "/etc/otel/ca.pem",
    "client_certificate": "/etc/otel/client.pem",
    "client_key": "/etc/otel/client.key",
}


def _export(signal: str, what: str) -> tuple[Setting, ...]:
    return tuple(
        _S(
            f"exporter_otlp_{signal}_{name}",
            f"`OTEL_EXPORTER_OTLP_{name.upper()}` for {what}.",
            example,
            unit="milliseconds" if name == "timeout" else "",
            default=f"that of `OTEL_EXPORTER_OTLP_{name.upper()}`",
        )
        for name, example in _EXPORT.items()
    )


SIGNALS: dict[str, tuple[Setting, ...]] = {
    "Metrics": (
        _S(
            "metrics_exporter",
            "Where metrics go: `otlp`, `prometheus`, `console` or `none`. A list is allowed.",
            "otlp",
            specified="otlp",
        ),
        _S(
            "metric_export_interval", "The time between two exports of metrics.", "10000", unit="milliseconds"
        ),
        _S("metric_export_timeout", "The time limit of an export of metrics.", "5000", unit="milliseconds"),
        _S(
            "metrics_exemplar_filter",
            "Which measurements may become exemplars: `trace_based`, `always_on` or `always_off`.",
            "always_off",
        ),
        _S(
            "exporter_otlp_metrics_temporality_preference",
            "Whether sums and histograms are sent since the start (`cumulative`) or since the last export (`delta`, "
            "`lowmemory`).",
            "delta",
        ),
        _S(
            "exporter_otlp_metrics_default_histogram_aggregation",
            "The kind of histograms that OTLP carries: `explicit_bucket_histogram` or "
            "`base2_exponential_bucket_histogram`.",
            "base2_exponential_bucket_histogram",
        ),
        _S("exporter_prometheus_host", "The address on which the exporter `prometheus` listens.", "0.0.0.0"),  # noqa: S104 - an example
        _S("exporter_prometheus_port", "The port on which the exporter `prometheus` listens.", "9100"),
        *_export("metrics", "metrics"),
        _S(
            "otlp_metrics", "The destination of metrics that the settings above resolve to. It cannot be set."
        ),
    ),
    "Log records": (
        _S(
            "logs_exporter",
            "Where log records go, beside the lines on stdout: `otlp`, `console` or `none`. A list is allowed.",
            "otlp",
            specified="otlp",
        ),
        _S("blrp_schedule_delay", "The time between two exports of log records.", "500", unit="milliseconds"),
        _S("blrp_export_timeout", "The time limit of an export of log records.", "5000", unit="milliseconds"),
        _S("blrp_max_queue_size", "The number of log records that the queue holds.", "4096"),
        _S("blrp_max_export_batch_size", "The number of log records in one export.", "256"),
        _S("logrecord_attribute_count_limit", "The number of attributes of a log record.", "64"),
        _S(
            "logrecord_attribute_value_length_limit",
            "The length of the value of a log record's attribute.",
            "1024",
            unit="characters",
        ),
        *_export("logs", "log records"),
        _S(
            "otlp_logs",
            "The destination of log records that the settings above resolve to. It cannot be set.",
        ),
    ),
}
