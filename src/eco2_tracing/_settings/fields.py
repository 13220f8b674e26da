"""The settings: type, default, parser and variables of each field.

At run time `Settings` is a plain class: a start that reads only the environment does not import pydantic-settings.
Type checkers see a pydantic-settings model, so that `TracingSettings` has one typed argument for each field (PEP 681).
Annotations are evaluated, because the tables below read their metadata.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, GetPydanticSchema, SecretStr
from pydantic_core import core_schema

from eco2_tracing._redaction import NUMBER_KINDS
from eco2_tracing._settings import parse
from eco2_tracing._settings.expressions import patterns
from eco2_tracing._settings.names import DEFAULT_SAMPLER, name_list, one_name
from eco2_tracing._settings.otlp import OtlpSettings
from eco2_tracing._settings.problem import Problem
from eco2_tracing._settings.signals import SignalSettings


def _otlp(name: str) -> str:
    return f"OTEL_EXPORTER_OTLP_TRACES_{name} OTEL_EXPORTER_OTLP_{name}"


def _captured(name: str) -> str:
    return f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{name}"


# The value is already checked, and building its schema takes milliseconds.
_UNCHECKED = GetPydanticSchema(lambda _source, _handler: core_schema.any_schema())
_STRINGS = GetPydanticSchema(lambda _source, handler: handler(frozenset[str]))
_Boolean = Annotated[bool, parse.boolean]
_Count = Annotated[int, parse.count]
_Positive = Annotated[int, parse.positive]
_Expressions = Annotated[Sequence[str], patterns]
_Names = Annotated[Sequence[str], parse.instrumentation_names]
_Limit = Annotated[int | None, parse.count]
_COUNT_LIMIT, _LENGTH_LIMIT = "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
_EXCLUDED_URLS = "OTEL_PYTHON_EXCLUDED_URLS"


class Settings(SignalSettings):
    """Every setting with its default.

    The metadata of a field is its parser and its variables, separated by spaces or as several texts. The first
    variable that is set is used. Sequences are tuples and collections are frozensets at run time. What each field does
    is in the table in `reference`.
    """

    disabled: Annotated[bool, parse.spec_boolean, "OTEL_SDK_DISABLED"] = False
    service_name: str | None = None
    service_version: str | None = None
    environment: str | None = None
    resource_attributes: Annotated[Mapping[str, str], parse.pairs, "OTEL_RESOURCE_ATTRIBUTES"] = {}
    propagators: Annotated[
        Sequence[str],
        name_list("opentelemetry_propagator", "b3", "b3multi", "tracecontext", "baggage"),
        "OTEL_PROPAGATORS",
    ] = ("b3", "tracecontext", "baggage")
    traces_exporter: Annotated[
        Sequence[str],
        name_list("opentelemetry_traces_exporter", "otlp", "console", "waterfall"),
        "OTEL_TRACES_EXPORTER",
    ] = ("otlp",)
    traces_sampler: Annotated[str, str, "OTEL_TRACES_SAMPLER"] = DEFAULT_SAMPLER
    traces_sampler_arg: Annotated[str | None, str, "OTEL_TRACES_SAMPLER_ARG"] = None
    id_generator: Annotated[
        str, one_name("opentelemetry_id_generator", "random"), "OTEL_PYTHON_ID_GENERATOR"
    ] = "random"
    log_level: Annotated[str | None, parse.log_level, "OTEL_LOG_LEVEL"] = None

    exporter_otlp_protocol: Annotated[
        Literal["grpc", "http/protobuf"], parse.one_of("grpc", "http/protobuf"), _otlp("PROTOCOL")
    ] = "grpc"
    exporter_otlp_endpoint: Annotated[str, str, _otlp("ENDPOINT")] = "localhost:4317"
    exporter_otlp_insecure: Annotated[bool | None, parse.spec_boolean, _otlp("INSECURE")] = None
    exporter_otlp_headers: Annotated[Mapping[str, SecretStr | str], parse.headers, _otlp("HEADERS")] = {}
    exporter_otlp_timeout: Annotated[int, parse.timeout, _otlp("TIMEOUT")] = 10_000
    exporter_otlp_compression: Annotated[
        Literal["none", "gzip"], parse.one_of("none", "gzip"), _otlp("COMPRESSION")
    ] = "none"
    exporter_otlp_certificate: Annotated[str | None, str, _otlp("CERTIFICATE")] = None
    exporter_otlp_client_certificate: Annotated[str | None, str, _otlp("CLIENT_CERTIFICATE")] = None
    exporter_otlp_client_key: Annotated[str | None, str, _otlp("CLIENT_KEY")] = None
    otlp: Annotated[OtlpSettings, _UNCHECKED] = Field(OtlpSettings(), exclude=True, init=False)

    bsp_schedule_delay: Annotated[int, parse.milliseconds, "OTEL_BSP_SCHEDULE_DELAY"] = 1000
    bsp_max_queue_size: Annotated[_Positive, "OTEL_BSP_MAX_QUEUE_SIZE"] = 2048
    bsp_max_export_batch_size: Annotated[_Positive, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = 512
    bsp_export_timeout: Annotated[int, parse.timeout, "OTEL_BSP_EXPORT_TIMEOUT"] = 30_000

    attribute_count_limit: Annotated[_Count, _COUNT_LIMIT] = 128
    attribute_value_length_limit: Annotated[_Limit, _LENGTH_LIMIT] = None
    span_attribute_count_limit: Annotated[_Count, "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", _COUNT_LIMIT] = 128
    span_attribute_value_length_limit: Annotated[
        _Limit, "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", _LENGTH_LIMIT
    ] = None
    span_event_count_limit: Annotated[_Count, "OTEL_SPAN_EVENT_COUNT_LIMIT"] = 128
    span_link_count_limit: Annotated[_Count, "OTEL_SPAN_LINK_COUNT_LIMIT"] = 128
    event_attribute_count_limit: Annotated[_Count, "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", _COUNT_LIMIT] = 128
    link_attribute_count_limit: Annotated[_Count, "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", _COUNT_LIMIT] = 128

    excluded_paths: Annotated[Sequence[str] | None, parse.items, "ECO2_TRACING_EXCLUDED_PATHS"] = None
    excluded_urls: Annotated[_Expressions, "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", _EXCLUDED_URLS] = ()
    httpx_excluded_urls: Annotated[_Expressions, "OTEL_PYTHON_HTTPX_EXCLUDED_URLS", _EXCLUDED_URLS] = ()
    http_capture_headers_server_request: Annotated[_Expressions, _captured("SERVER_REQUEST")] = ()
    http_capture_headers_server_response: Annotated[_Expressions, _captured("SERVER_RESPONSE")] = ()
    http_capture_headers_client_request: Annotated[_Expressions, _captured("CLIENT_REQUEST")] = ()
    http_capture_headers_client_response: Annotated[_Expressions, _captured("CLIENT_RESPONSE")] = ()
    http_capture_headers_sanitize_fields: Annotated[_Expressions, _captured("SANITIZE_FIELDS")] = ()

    capture: Annotated[Collection[str], parse.some_of("sizes", "rows"), "ECO2_TRACING_CAPTURE", _STRINGS] = (
        frozenset()
    )

    error_sampling_rate: Annotated[float, parse.rate, "ECO2_TRACING_ERROR_SAMPLING_RATE"] = 1.0
    error_sampling_rate_is_set: bool = Field(default=False, init=False)
    slow_threshold_ms: Annotated[float | None, parse.positive_ms, "ECO2_TRACING_SLOW_THRESHOLD_MS"] = None
    slow_thresholds_ms: Annotated[
        Mapping[str, float], parse.thresholds, "ECO2_TRACING_SLOW_THRESHOLDS_MS"
    ] = {}
    max_kept_traces_per_second: Annotated[_Count, "ECO2_TRACING_MAX_KEPT_TRACES_PER_SECOND"] = 200
    workers: Annotated[_Positive, "ECO2_TRACING_WORKERS", "WEB_CONCURRENCY"] = 1

    redact_keys: Annotated[Collection[str], parse.key_set, "ECO2_TRACING_REDACT_KEYS", _STRINGS] = frozenset()
    redact_numbers: Annotated[
        Collection[str], parse.some_of(*NUMBER_KINDS), "ECO2_TRACING_REDACT_NUMBERS", _STRINGS
    ] = frozenset()
    response_header: Annotated[str | None, parse.header_name, "ECO2_TRACING_RESPONSE_HEADER"] = None
    trust_inbound: Annotated[_Boolean, "ECO2_TRACING_TRUST_INBOUND"] = True
    propagation_targets: Annotated[Sequence[str], parse.hosts, "ECO2_TRACING_PROPAGATION_TARGETS"] = ()
    propagate_externally: Annotated[_Boolean, "ECO2_TRACING_PROPAGATE_EXTERNALLY"] = True
    instrumentation: Annotated[
        Literal["lean", "contrib"], parse.one_of("lean", "contrib"), "ECO2_TRACING_INSTRUMENTATION"
    ] = "lean"
    instrumentations: Annotated[_Names, "ECO2_TRACING_INSTRUMENTATIONS"] = ()
    disabled_instrumentations: Annotated[_Names, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = ()
    waterfall: Annotated[
        Literal["errors", "all", "tree"], parse.one_of("errors", "all", "tree"), "ECO2_TRACING_WATERFALL"
    ] = "all"
    trace_url: Annotated[str | None, parse.trace_url, "ECO2_TRACING_TRACE_URL"] = None
    log_format: Annotated[
        Literal["json", "text", "auto"] | None,
        parse.one_of("json", "text", "auto"),
        "ECO2_TRACING_LOG_FORMAT",
    ] = None
    strict: Annotated[_Boolean, "ECO2_TRACING_STRICT"] = False
    problems: Annotated[tuple[Problem, ...], _UNCHECKED] = Field((), exclude=True, repr=False, init=False)


OF_SIGNALS = ("exporter_otlp_metrics_", "exporter_otlp_logs_")
PREFIXES = ("OTEL_INSTRUMENTATION_", "OTEL_PYTHON_", "OTEL_", "ECO2_TRACING_")
SERVICE_NAME, ENVIRONMENT = "OTEL_SERVICE_NAME", "deployment.environment.name"
# The variable or resource attributes of each; names with a dot are set by OTEL_RESOURCE_ATTRIBUTES.
SERVICE_NAMES = {
    "service_name": (SERVICE_NAME, "service.name"),
    "service_version": ("service.version",),
    "environment": (ENVIRONMENT, "deployment.environment"),
}
SERVICE_FACTS = {field: names[0] for field, names in SERVICE_NAMES.items()}
ALIASES = ("OTEL_ENABLED", "OTEL_SAMPLING_RATE")


class Source(NamedTuple):
    """Where the value of a field comes from: its parser, and its variables in order."""

    parse: Callable[[str], object]
    variables: tuple[str, ...]


def _sources() -> Iterator[tuple[str, Source]]:
    for field, annotation in (Settings.__annotations__ | SignalSettings.__annotations__).items():
        parse, *others = getattr(annotation, "__metadata__", (str,))
        if names := " ".join(name for name in others if isinstance(name, str)).split():
            yield field, Source(parse, tuple(names))


SOURCES = dict(_sources())
"""The source of each field that one variable sets."""

VARIABLES = frozenset(
    {SERVICE_NAME, *ALIASES, *(variable for source in SOURCES.values() for variable in source.variables)}
)
"""The variables that are read."""


def _keywords() -> dict[str, str]:
    found = dict(SERVICE_FACTS)
    for variable in VARIABLES:
        found[variable.lower()] = variable
        prefix = next((prefix for prefix in PREFIXES if variable.startswith(prefix)), "")
        found.setdefault(variable.removeprefix(prefix).lower(), variable)
    for field, source in SOURCES.items():
        # A keyword of OTLP without a signal is the general form: a path is appended to its endpoint.
        is_general = field.startswith("exporter_otlp") and not field.startswith(OF_SIGNALS)
        found[field] = source.variables[-1 if is_general else 0]
    return found


KEYWORDS = _keywords()
"""Each keyword of the constructor in lower case, with its variable."""
