"""The table of variables: which field each fills, and how its text is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing._redaction import NUMBER_KINDS
from eco2_tracing._settings import parse as parse_module
from eco2_tracing._settings.expressions import patterns
from eco2_tracing._settings.installed import name_list, one_name

if TYPE_CHECKING:
    from eco2_tracing._settings.parse import Parser

PREFIXES = ("OTEL_INSTRUMENTATION_", "OTEL_PYTHON_", "OTEL_", "ECO2_TRACING_")


class Setting(NamedTuple):
    """One field and where its value may come from.

    Attributes:
        field: The name in `TracingSettings`.
        parse: Reads the text.
        variables: The variables that fill it; the first one that is set wins.
    """

    field: str
    parse: Parser
    variables: tuple[str, ...]


def _settings(parse: Parser, **fields: str) -> list[Setting]:
    """Declare settings that share a parser, as ``field="VARIABLE VARIABLE"``."""
    return [Setting(field, parse, tuple(names.split())) for field, names in fields.items()]


def _otlp(name: str) -> str:
    return f"OTEL_EXPORTER_OTLP_TRACES_{name} OTEL_EXPORTER_OTLP_{name}"


def _captured(name: str) -> str:
    return f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{name}"


SETTINGS: tuple[Setting, ...] = (
    *_settings(
        parse_module.spec_boolean, disabled="OTEL_SDK_DISABLED", exporter_otlp_insecure=_otlp("INSECURE")
    ),
    *_settings(
        parse_module.boolean,
        trust_inbound="ECO2_TRACING_TRUST_INBOUND",
        propagate_externally="ECO2_TRACING_PROPAGATE_EXTERNALLY",
        strict="ECO2_TRACING_STRICT",
    ),
    *_settings(parse_module.pairs, resource_attributes="OTEL_RESOURCE_ATTRIBUTES"),
    *_settings(
        name_list("opentelemetry_propagator", "b3", "b3multi", "tracecontext", "baggage"),
        propagators="OTEL_PROPAGATORS",
    ),
    *_settings(
        name_list("opentelemetry_traces_exporter", "otlp", "console"), traces_exporter="OTEL_TRACES_EXPORTER"
    ),
    *_settings(one_name("opentelemetry_id_generator", "random"), id_generator="OTEL_PYTHON_ID_GENERATOR"),
    *_settings(
        parse_module.text,
        # `read_sampler` replaces these two.
        traces_sampler="OTEL_TRACES_SAMPLER",
        traces_sampler_arg="OTEL_TRACES_SAMPLER_ARG",
        exporter_otlp_endpoint=_otlp("ENDPOINT"),
        exporter_otlp_certificate=_otlp("CERTIFICATE"),
        exporter_otlp_client_certificate=_otlp("CLIENT_CERTIFICATE"),
        exporter_otlp_client_key=_otlp("CLIENT_KEY"),
    ),
    *_settings(parse_module.one_of("grpc", "http/protobuf"), exporter_otlp_protocol=_otlp("PROTOCOL")),
    *_settings(parse_module.one_of("none", "gzip"), exporter_otlp_compression=_otlp("COMPRESSION")),
    *_settings(parse_module.headers, exporter_otlp_headers=_otlp("HEADERS")),
    *_settings(
        parse_module.timeout,
        exporter_otlp_timeout=_otlp("TIMEOUT"),
        bsp_export_timeout="OTEL_BSP_EXPORT_TIMEOUT",
    ),
    *_settings(parse_module.integer(1, " of milliseconds"), bsp_schedule_delay="OTEL_BSP_SCHEDULE_DELAY"),
    *_settings(
        parse_module.integer(1),
        bsp_max_queue_size="OTEL_BSP_MAX_QUEUE_SIZE",
        bsp_max_export_batch_size="OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        workers="ECO2_TRACING_WORKERS WEB_CONCURRENCY",
    ),
    *_settings(
        parse_module.integer(0),
        attribute_count_limit="OTEL_ATTRIBUTE_COUNT_LIMIT",
        attribute_value_length_limit="OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        span_attribute_count_limit="OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT OTEL_ATTRIBUTE_COUNT_LIMIT",
        span_attribute_value_length_limit=(
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
        ),
        span_event_count_limit="OTEL_SPAN_EVENT_COUNT_LIMIT",
        span_link_count_limit="OTEL_SPAN_LINK_COUNT_LIMIT",
        event_attribute_count_limit="OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT OTEL_ATTRIBUTE_COUNT_LIMIT",
        link_attribute_count_limit="OTEL_LINK_ATTRIBUTE_COUNT_LIMIT OTEL_ATTRIBUTE_COUNT_LIMIT",
        max_kept_traces_per_second="ECO2_TRACING_MAX_KEPT_TRACES_PER_SECOND",
    ),
    *_settings(
        parse_module.one_of(
            "debug", "info", "warning", "error", "critical", trace="debug", warn="warning", fatal="critical"
        ),
        log_level="OTEL_LOG_LEVEL",
    ),
    *_settings(parse_module.items, excluded_paths="ECO2_TRACING_EXCLUDED_PATHS"),
    *_settings(
        patterns,
        excluded_urls="OTEL_PYTHON_FASTAPI_EXCLUDED_URLS OTEL_PYTHON_EXCLUDED_URLS",
        httpx_excluded_urls="OTEL_PYTHON_HTTPX_EXCLUDED_URLS OTEL_PYTHON_EXCLUDED_URLS",
        http_capture_headers_server_request=_captured("SERVER_REQUEST"),
        http_capture_headers_server_response=_captured("SERVER_RESPONSE"),
        http_capture_headers_client_request=_captured("CLIENT_REQUEST"),
        http_capture_headers_client_response=_captured("CLIENT_RESPONSE"),
        http_capture_headers_sanitize_fields=_captured("SANITIZE_FIELDS"),
    ),
    *_settings(parse_module.rate, error_sampling_rate="ECO2_TRACING_ERROR_SAMPLING_RATE"),
    *_settings(parse_module.positive_ms, slow_threshold_ms="ECO2_TRACING_SLOW_THRESHOLD_MS"),
    *_settings(parse_module.thresholds, slow_thresholds_ms="ECO2_TRACING_SLOW_THRESHOLDS_MS"),
    *_settings(parse_module.key_set, redact_keys="ECO2_TRACING_REDACT_KEYS"),
    *_settings(parse_module.some_of(*NUMBER_KINDS), redact_numbers="ECO2_TRACING_REDACT_NUMBERS"),
    *_settings(parse_module.header_name, response_header="ECO2_TRACING_RESPONSE_HEADER"),
    *_settings(parse_module.hosts, propagation_targets="ECO2_TRACING_PROPAGATION_TARGETS"),
    *_settings(parse_module.one_of("lean", "contrib"), instrumentation="ECO2_TRACING_INSTRUMENTATION"),
    *_settings(
        parse_module.instrumentation_names,
        instrumentations="ECO2_TRACING_INSTRUMENTATIONS",
        disabled_instrumentations="OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    ),
)

SERVICE_NAME, SERVICE_VERSION, ENVIRONMENT = (
    "OTEL_SERVICE_NAME",
    "service.version",
    "deployment.environment.name",
)
# The two with a dot are keywords only: their variable is OTEL_RESOURCE_ATTRIBUTES.
SERVICE_FACTS = {"service_name": SERVICE_NAME, "service_version": SERVICE_VERSION, "environment": ENVIRONMENT}
ALIASES = ("OTEL_ENABLED", "OTEL_SAMPLING_RATE")
VARIABLES = frozenset(
    {SERVICE_NAME, *ALIASES, *(variable for setting in SETTINGS for variable in setting.variables)}
)


def keywords() -> dict[str, str]:
    """Return each keyword that the constructor takes, lower case, with its variable."""
    found = dict(SERVICE_FACTS)
    for variable in VARIABLES:
        found[variable.lower()] = variable
        for prefix in PREFIXES:
            if variable.startswith(prefix):
                found.setdefault(variable.removeprefix(prefix).lower(), variable)
                break
    for setting in SETTINGS:
        found[setting.field] = (
            setting.variables[-1] if "exporter_otlp" in setting.field else setting.variables[0]
        )
    return found


KEYWORDS = keywords()
