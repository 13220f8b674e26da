"""The settings and their defaults.

A class without pydantic-settings: a start that reads the environment alone does not pay for a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_core import CoreSchema, core_schema

from eco2_tracing._settings._otlp import OtlpSettings
from eco2_tracing._settings._problem import Problem  # noqa: TC001 - pydantic resolves it


class _AsItIs:
    """Marks what is made here: a schema for it would cost milliseconds of a start."""

    @staticmethod
    def __get_pydantic_core_schema__(_source: object, _handler: object) -> CoreSchema:
        return core_schema.any_schema()


class Settings:
    """Every setting, with its default.

    Attributes:
        disabled: ``OTEL_SDK_DISABLED``: no spans are made; headers still travel on.
        service_name: ``OTEL_SERVICE_NAME``, else ``service.name`` of ``OTEL_RESOURCE_ATTRIBUTES``.
        service_version: ``service.version`` of ``OTEL_RESOURCE_ATTRIBUTES``.
        environment: ``deployment.environment.name`` (or ``deployment.environment``) of the same.
        resource_attributes: ``OTEL_RESOURCE_ATTRIBUTES``, decoded.
        propagators: ``OTEL_PROPAGATORS``: names that exist, in order; ``("none",)`` alone.
        traces_exporter: ``OTEL_TRACES_EXPORTER``: names that exist; ``("none",)`` alone.
        traces_sampler: ``OTEL_TRACES_SAMPLER``.
        traces_sampler_arg: ``OTEL_TRACES_SAMPLER_ARG``, as text; checked for the ratio samplers.
        id_generator: ``OTEL_PYTHON_ID_GENERATOR``.
        log_level: ``OTEL_LOG_LEVEL``: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
        exporter_otlp_protocol: ``grpc`` or ``http/protobuf``. This and the following have ``_TRACES_`` forms.
        exporter_otlp_endpoint: The text found, credentials removed; `otlp` holds what it means.
        exporter_otlp_insecure: Plaintext for an endpoint without scheme; ``None`` decides by the host.
        exporter_otlp_headers: Values masked.
        exporter_otlp_timeout: Milliseconds for one export, retries included.
        exporter_otlp_compression: ``none`` or ``gzip``.
        exporter_otlp_certificate: File of trusted authorities (PEM).
        exporter_otlp_client_certificate: File of our certificate (PEM).
        exporter_otlp_client_key: File of our key (PEM).
        otlp: The destination that these eight variables make.
        bsp_schedule_delay: Milliseconds between two exports.
        bsp_max_queue_size: Spans held at most.
        bsp_max_export_batch_size: Spans in one export at most; never more than the queue holds.
        bsp_export_timeout: Milliseconds that an export may take.
        attribute_count_limit: Attributes of anything that has no limit of its own below.
        attribute_value_length_limit: Characters of a value; ``None`` is no limit.
        span_attribute_count_limit: Attributes of a span.
        span_attribute_value_length_limit: Characters of a span attribute's value; ``None`` is no limit.
        span_event_count_limit: Events of a span.
        span_link_count_limit: Links of a span.
        event_attribute_count_limit: Attributes of an event.
        link_attribute_count_limit: Attributes of a link.
        excluded_paths: ``ECO2_TRACING_EXCLUDED_PATHS``; ``None`` when it is not set.
        excluded_urls: ``OTEL_PYTHON_FASTAPI_EXCLUDED_URLS``, else ``OTEL_PYTHON_EXCLUDED_URLS``.
        httpx_excluded_urls: ``OTEL_PYTHON_HTTPX_EXCLUDED_URLS``, else ``OTEL_PYTHON_EXCLUDED_URLS``.
        http_capture_headers_server_request: Request headers to record, as regular expressions; so the next three.
        http_capture_headers_server_response: Response headers to record.
        http_capture_headers_client_request: Headers of outgoing requests to record.
        http_capture_headers_client_response: Headers of their responses to record.
        http_capture_headers_sanitize_fields: Headers whose values are masked, as regular expressions.
        error_sampling_rate: The share of failing traces that is kept.
        error_sampling_rate_is_set: It was set, and well, so it applies to ``always_off`` too.
        slow_threshold_ms: Milliseconds from which a request is kept; ``None`` is off.
        slow_thresholds_ms: The same by route.
        max_kept_traces_per_second: Traces that one process rescues at most.
        workers: Processes that share a rate: ``ECO2_TRACING_WORKERS``, else ``WEB_CONCURRENCY``.
        redact_keys: Lower-case keys to mask beside the built-in ones.
        response_header: Name of a response header for the trace id.
        trust_inbound: Callers' ids and decisions are taken over.
        propagation_targets: Hosts of our own beside those told by their name.
        propagate_externally: Other hosts get the trace context.
        instrumentation: ``lean`` or ``contrib``.
        instrumentations: Library instrumentations to switch on beside the tested list.
        disabled_instrumentations: Those to leave off.
        strict: Wrong configuration raises.
        problems: What was wrong or doubtful, in the order found.
    """

    disabled: bool = False
    service_name: str | None = None
    service_version: str | None = None
    environment: str | None = None
    resource_attributes: Mapping[str, str] = {}
    propagators: tuple[str, ...] = ("b3", "tracecontext", "baggage")
    traces_exporter: tuple[str, ...] = ("otlp",)
    traces_sampler: str = "parentbased_always_on"
    traces_sampler_arg: str | None = None
    id_generator: str = "random"
    log_level: str | None = None

    exporter_otlp_protocol: Literal["grpc", "http/protobuf"] = "grpc"
    exporter_otlp_endpoint: str = "localhost:4317"
    exporter_otlp_insecure: bool | None = None
    exporter_otlp_headers: Mapping[str, SecretStr] = {}
    exporter_otlp_timeout: int = 10_000
    exporter_otlp_compression: Literal["none", "gzip"] = "none"
    exporter_otlp_certificate: str | None = None
    exporter_otlp_client_certificate: str | None = None
    exporter_otlp_client_key: str | None = None
    otlp: Annotated[OtlpSettings, _AsItIs, Field(exclude=True)] = OtlpSettings()

    bsp_schedule_delay: int = 1000
    bsp_max_queue_size: int = 2048
    bsp_max_export_batch_size: int = 512
    bsp_export_timeout: int = 30_000

    attribute_count_limit: int = 128
    attribute_value_length_limit: int | None = None
    span_attribute_count_limit: int = 128
    span_attribute_value_length_limit: int | None = None
    span_event_count_limit: int = 128
    span_link_count_limit: int = 128
    event_attribute_count_limit: int = 128
    link_attribute_count_limit: int = 128

    excluded_paths: tuple[str, ...] | None = None
    excluded_urls: tuple[str, ...] = ()
    httpx_excluded_urls: tuple[str, ...] = ()
    http_capture_headers_server_request: tuple[str, ...] = ()
    http_capture_headers_server_response: tuple[str, ...] = ()
    http_capture_headers_client_request: tuple[str, ...] = ()
    http_capture_headers_client_response: tuple[str, ...] = ()
    http_capture_headers_sanitize_fields: tuple[str, ...] = ()

    error_sampling_rate: float = 1.0
    error_sampling_rate_is_set: bool = False
    slow_threshold_ms: float | None = None
    slow_thresholds_ms: Mapping[str, float] = {}
    max_kept_traces_per_second: int = 200
    workers: int = 1

    redact_keys: frozenset[str] = frozenset()
    response_header: str | None = None
    trust_inbound: bool = True
    propagation_targets: tuple[str, ...] = ()
    propagate_externally: bool = True
    instrumentation: Literal["lean", "contrib"] = "lean"
    instrumentations: tuple[str, ...] = ()
    disabled_instrumentations: tuple[str, ...] = ()
    strict: bool = False
    problems: Annotated[tuple[Problem, ...], _AsItIs, Field(exclude=True, repr=False)] = ()
