"""The settings of metrics and logs: type, default, parser and variables of each field, as in `fields`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, GetPydanticSchema, SecretStr
from pydantic_core import core_schema

from eco2_tracing._settings import parse
from eco2_tracing._settings.names import name_list
from eco2_tracing._settings.otlp import OtlpSettings

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings as _Declared
else:
    _Declared = object

_UNCHECKED = GetPydanticSchema(lambda _source, _handler: core_schema.any_schema())
_Temporality = Literal["cumulative", "delta", "lowmemory"]
_Aggregation = Literal["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]
_Filter = Literal["trace_based", "always_on", "always_off"]


def _metrics(name: str) -> str:
    return f"OTEL_EXPORTER_OTLP_METRICS_{name} OTEL_EXPORTER_OTLP_{name}"


def _logs(name: str) -> str:
    return f"OTEL_EXPORTER_OTLP_LOGS_{name} OTEL_EXPORTER_OTLP_{name}"


class SignalSettings(_Declared):
    """The settings of metrics and logs. Both are off by default."""

    metrics_exporter: Annotated[
        Sequence[str], name_list("metrics", "otlp", "prometheus", "console"), "OTEL_METRICS_EXPORTER"
    ] = ("none",)
    """Names of ``otlp``, ``prometheus`` and ``console``; ``none`` only alone."""
    metric_export_interval: Annotated[int, parse.milliseconds, "OTEL_METRIC_EXPORT_INTERVAL"] = 60_000
    """Milliseconds between two exports of metrics."""
    metric_export_timeout: Annotated[int, parse.timeout, "OTEL_METRIC_EXPORT_TIMEOUT"] = 30_000
    """Milliseconds that an export of metrics may take."""
    metrics_exemplar_filter: Annotated[
        _Filter, parse.one_of("trace_based", "always_on", "always_off"), "OTEL_METRICS_EXEMPLAR_FILTER"
    ] = "trace_based"
    """Which measurements may become exemplars: those in exported traces, all or none."""
    exporter_otlp_metrics_temporality_preference: Annotated[
        _Temporality,
        parse.one_of("cumulative", "delta", "lowmemory"),
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    ] = "cumulative"
    """Whether sums and histograms are sent since the start, or since the last export."""
    exporter_otlp_metrics_default_histogram_aggregation: Annotated[
        _Aggregation,
        parse.one_of("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    ] = "explicit_bucket_histogram"
    """How histograms are sent over OTLP."""
    exporter_prometheus_host: Annotated[str, str, "OTEL_EXPORTER_PROMETHEUS_HOST"] = "localhost"
    """Address that the exporter ``prometheus`` listens on."""
    exporter_prometheus_port: Annotated[int, parse.port, "OTEL_EXPORTER_PROMETHEUS_PORT"] = 9464
    """Port that the exporter ``prometheus`` listens on."""
    exporter_otlp_metrics_protocol: Annotated[
        Literal["grpc", "http/protobuf"], parse.one_of("grpc", "http/protobuf"), _metrics("PROTOCOL")
    ] = "grpc"
    """As ``exporter_otlp_protocol``, for metrics."""
    exporter_otlp_metrics_endpoint: Annotated[str, str, _metrics("ENDPOINT")] = "localhost:4317"
    """As ``exporter_otlp_endpoint``, for metrics; the variable of metrics is used without a path of ours."""
    exporter_otlp_metrics_insecure: Annotated[bool | None, parse.spec_boolean, _metrics("INSECURE")] = None
    """As ``exporter_otlp_insecure``, for metrics."""
    exporter_otlp_metrics_headers: Annotated[
        Mapping[str, SecretStr | str], parse.headers, _metrics("HEADERS")
    ] = {}
    """As ``exporter_otlp_headers``, for metrics."""
    exporter_otlp_metrics_timeout: Annotated[int, parse.timeout, _metrics("TIMEOUT")] = 10_000
    """As ``exporter_otlp_timeout``, for metrics."""
    exporter_otlp_metrics_compression: Annotated[
        Literal["none", "gzip"], parse.one_of("none", "gzip"), _metrics("COMPRESSION")
    ] = "none"
    """As ``exporter_otlp_compression``, for metrics."""
    exporter_otlp_metrics_certificate: Annotated[str | None, str, _metrics("CERTIFICATE")] = None
    """As ``exporter_otlp_certificate``, for metrics."""
    exporter_otlp_metrics_client_certificate: Annotated[str | None, str, _metrics("CLIENT_CERTIFICATE")] = (
        None
    )
    """As ``exporter_otlp_client_certificate``, for metrics."""
    exporter_otlp_metrics_client_key: Annotated[str | None, str, _metrics("CLIENT_KEY")] = None
    """As ``exporter_otlp_client_key``, for metrics."""
    otlp_metrics: Annotated[OtlpSettings, _UNCHECKED] = Field(OtlpSettings(), exclude=True, init=False)
    """The destination of metrics that the OTLP settings resolve to."""

    logs_exporter: Annotated[Sequence[str], name_list("logs", "otlp", "console"), "OTEL_LOGS_EXPORTER"] = (
        "none",
    )
    """Names of ``otlp`` and ``console``; ``none`` only alone."""
    blrp_schedule_delay: Annotated[int, parse.milliseconds, "OTEL_BLRP_SCHEDULE_DELAY"] = 1000
    """Milliseconds between two exports of log records."""
    blrp_max_queue_size: Annotated[int, parse.positive, "OTEL_BLRP_MAX_QUEUE_SIZE"] = 2048
    """Maximum number of log records in the queue."""
    blrp_max_export_batch_size: Annotated[int, parse.positive, "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"] = 512
    """Maximum number of log records in one export; at most the size of the queue."""
    blrp_export_timeout: Annotated[int, parse.timeout, "OTEL_BLRP_EXPORT_TIMEOUT"] = 30_000
    """Milliseconds that an export of log records may take."""
    logrecord_attribute_count_limit: Annotated[
        int, parse.count, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"
    ] = 128
    """Attributes of a log record."""
    logrecord_attribute_value_length_limit: Annotated[
        int | None,
        parse.count,
        "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    ] = None
    """Characters of the value of a log record's attribute; ``None`` is no limit."""
    exporter_otlp_logs_protocol: Annotated[
        Literal["grpc", "http/protobuf"], parse.one_of("grpc", "http/protobuf"), _logs("PROTOCOL")
    ] = "grpc"
    """As ``exporter_otlp_protocol``, for logs."""
    exporter_otlp_logs_endpoint: Annotated[str, str, _logs("ENDPOINT")] = "localhost:4317"
    """As ``exporter_otlp_endpoint``, for logs; the variable of logs is used without a path of ours."""
    exporter_otlp_logs_insecure: Annotated[bool | None, parse.spec_boolean, _logs("INSECURE")] = None
    """As ``exporter_otlp_insecure``, for logs."""
    exporter_otlp_logs_headers: Annotated[Mapping[str, SecretStr | str], parse.headers, _logs("HEADERS")] = {}
    """As ``exporter_otlp_headers``, for logs."""
    exporter_otlp_logs_timeout: Annotated[int, parse.timeout, _logs("TIMEOUT")] = 10_000
    """As ``exporter_otlp_timeout``, for logs."""
    exporter_otlp_logs_compression: Annotated[
        Literal["none", "gzip"], parse.one_of("none", "gzip"), _logs("COMPRESSION")
    ] = "none"
    """As ``exporter_otlp_compression``, for logs."""
    exporter_otlp_logs_certificate: Annotated[str | None, str, _logs("CERTIFICATE")] = None
    """As ``exporter_otlp_certificate``, for logs."""
    exporter_otlp_logs_client_certificate: Annotated[str | None, str, _logs("CLIENT_CERTIFICATE")] = None
    """As ``exporter_otlp_client_certificate``, for logs."""
    exporter_otlp_logs_client_key: Annotated[str | None, str, _logs("CLIENT_KEY")] = None
    """As ``exporter_otlp_client_key``, for logs."""
    otlp_logs: Annotated[OtlpSettings, _UNCHECKED] = Field(OtlpSettings(), exclude=True, init=False)
    """The destination of logs that the OTLP settings resolve to."""
