"""The settings and their defaults.

A class without pydantic-settings: a start that reads the environment alone does not pay for a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_core import CoreSchema, core_schema

from eco2_tracing._settings.otlp import OtlpSettings
from eco2_tracing._settings.problem import Problem  # noqa: TC001 - pydantic resolves it


class _AsItIs:
    """Marks what is made here: a schema for it would cost milliseconds of a start."""

    @staticmethod
    def __get_pydantic_core_schema__(_source: object, _handler: object) -> CoreSchema:
        return core_schema.any_schema()


class Settings:
    """Every setting, with its default; `TracingSettings` says what each is."""

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
    redact_numbers: frozenset[str] = frozenset()
    response_header: str | None = None
    trust_inbound: bool = True
    propagation_targets: tuple[str, ...] = ()
    propagate_externally: bool = True
    instrumentation: Literal["lean", "contrib"] = "lean"
    instrumentations: tuple[str, ...] = ()
    disabled_instrumentations: tuple[str, ...] = ()
    strict: bool = False
    problems: Annotated[tuple[Problem, ...], _AsItIs, Field(exclude=True, repr=False)] = ()
