"""The settings as users see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from pydantic import SerializerFunctionWrapHandler, model_serializer
from pydantic_core import InitErrorDetails, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from eco2_tracing._settings.display import shielded, shown_value
from eco2_tracing._settings.fields import Settings
from eco2_tracing._settings.source import read_fields

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

# Older pydantic looks for the names in the annotations of a base class in this module.
Settings.__annotations__ = get_type_hints(Settings, include_extras=True)


class TracingSettings(BaseSettings, Settings):
    """Every setting, read from the environment unless given.

    A keyword is the name of a field, or of a variable in either case: ``traces_sampler="always_off"``,
    ``OTEL_TRACES_SAMPLER="always_off"``. What is given beats the environment, whatever form it has. Values may be
    text, as in the environment, or numbers, booleans, sequences and mappings. Bad ones never raise unless strict:
    they are listed in `problems`, and the default is used.

    Raises:
        ConfigurationError: With ``ECO2_TRACING_STRICT=true``, one that lists every problem.

    Attributes:
        disabled: ``OTEL_SDK_DISABLED``: no spans are made; headers still travel on.
        service_name: ``OTEL_SERVICE_NAME``, else ``service.name`` of ``OTEL_RESOURCE_ATTRIBUTES``.
        service_version: ``service.version`` of ``OTEL_RESOURCE_ATTRIBUTES``.
        environment: ``deployment.environment.name`` (or ``deployment.environment``) of the same.
        resource_attributes: ``OTEL_RESOURCE_ATTRIBUTES``, decoded. Credentials in any value are masked in ``repr``,
            ``str`` and dumps; the attributes hold what was set.
        propagators: ``OTEL_PROPAGATORS``: names that exist, in order; ``("none",)`` alone.
        traces_exporter: ``OTEL_TRACES_EXPORTER``: names that exist; ``("none",)`` alone.
        traces_sampler: ``OTEL_TRACES_SAMPLER``.
        traces_sampler_arg: ``OTEL_TRACES_SAMPLER_ARG``, as text; checked for the ratio samplers.
        id_generator: ``OTEL_PYTHON_ID_GENERATOR``.
        log_level: ``OTEL_LOG_LEVEL``: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.
        exporter_otlp_protocol: ``grpc`` or ``http/protobuf``. This and the following have ``_TRACES_`` forms.
        exporter_otlp_endpoint: The text found, credentials and query removed; `otlp` holds what it means.
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
        max_kept_traces_per_second: Local traces that one process keeps a second.
        workers: Processes that share a rate: ``ECO2_TRACING_WORKERS``, else ``WEB_CONCURRENCY``.
        redact_keys: Lower-case keys to mask beside the built-in ones.
        redact_numbers: Kinds of numbers to mask in texts: ``card``, ``resident``.
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

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True, extra="forbid", env_file=None, hide_input_in_errors=True
    )

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.__dict__.update(shielded(self.__dict__))  # validation made plain text of it

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse, as pydantic does for frozen models, without quoting the value.

        Raises:
            ValidationError: Always.
        """
        detail = InitErrorDetails(type="frozen_instance", loc=(name,), input=None)
        raise ValidationError.from_exception_data(type(self).__name__, [detail], hide_input=True)

    @model_serializer(mode="wrap")
    def _masked(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Mask credentials in dumps."""
        return {name: shown_value(name, value) for name, value in handler(self).items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Replace the usual sources by one that knows the specification's names, units and precedence."""
        keywords: Mapping[str, Any] = getattr(init_settings, "init_kwargs", {})
        return (_Variables(settings_cls, keywords),)


class _Variables(PydanticBaseSettingsSource):
    """Reads every field at once.

    Args:
        settings_cls: The model.
        keywords: What the constructor was given.
    """

    def __init__(self, settings_cls: type[BaseSettings], keywords: Mapping[str, Any]) -> None:
        super().__init__(settings_cls)
        self._keywords = keywords

    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[Any, str, bool]:  # pragma: no cover - the base asks for it, but __call__ reads everything
        """Answer for one field."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values of all fields that do not keep their default."""
        return read_fields(self._keywords)
