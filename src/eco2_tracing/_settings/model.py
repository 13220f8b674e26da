"""The settings as a pydantic-settings model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import SerializerFunctionWrapHandler, model_serializer
from pydantic_core import InitErrorDetails, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from eco2_tracing._settings.display import masked_reprs, shown_value
from eco2_tracing._settings.fields import Settings
from eco2_tracing._settings.load import read_fields
from eco2_tracing._settings.reference import effects

if TYPE_CHECKING:
    from pydantic.config import JsonDict

_EFFECTS = effects()


def _describe(schema: JsonDict) -> None:
    """Add the effect of each field to the JSON schema."""
    for name, property_schema in cast("dict[str, JsonDict]", schema["properties"]).items():
        property_schema["description"] = _EFFECTS[name]


class TracingSettings(Settings, BaseSettings):
    """Every setting of the library. A setting comes from the argument, else the environment, else the default.

    Pass it to ``configure_tracing(settings=...)``. An argument has the name of its variable in lower case, without the
    prefix: ``traces_sampler`` is ``OTEL_TRACES_SAMPLER``. The name and the text of the variable are accepted too, as in
    ``OTEL_BSP_SCHEDULE_DELAY="5000"``. docs/configuration.md lists the variables with their units and defaults.

    A value that cannot be used does not raise. It is listed in ``problems``, and the default is used. Settings are
    frozen. ``repr``, ``str`` and dumps mask credentials.

    Raises:
        ConfigurationError: In strict mode (``strict=True``), with every problem.

    Examples:
        >>> settings = TracingSettings(traces_sampler="parentbased_traceidratio", traces_sampler_arg="0.01")
        >>> settings.traces_sampler_arg, settings.bsp_schedule_delay
        ('0.01', 1000)
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True, extra="forbid", env_file=None, hide_input_in_errors=True, json_schema_extra=_describe
    )

    def model_post_init(self, _context: object, /) -> None:
        """Mask credentials in ``repr``: validation has replaced the masked texts by plain ones."""
        self.__dict__.update(masked_reprs(self.__dict__))

    def __setattr__(self, name: str, value: object) -> None:
        """Raise the error of a frozen model without the value, which may be a credential.

        Raises:
            ValidationError: Always.
        """
        detail = InitErrorDetails(type="frozen_instance", loc=(name,), input=None)
        raise ValidationError.from_exception_data(type(self).__name__, [detail], hide_input=True)

    @model_serializer(mode="wrap")
    def _masked(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
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
        """Read arguments and environment by the rules of the specification (docs/decisions/0016)."""
        return (_Variables(settings_cls, getattr(init_settings, "init_kwargs", {})),)


class _Variables(InitSettingsSource):
    def __call__(self) -> dict[str, object]:
        """Return the values of all fields that are not at their default."""
        keywords = dict(self.init_kwargs)
        return read_fields(environ=keywords.pop("_environ", os.environ), keywords=keywords)


for _name, _field in TracingSettings.model_fields.items():
    _field.description = _EFFECTS[_name]
