"""The settings as users see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from eco2_tracing._settings._fields import Settings
from eco2_tracing._settings._source import read_fields

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


class TracingSettings(BaseSettings, Settings):
    """Every setting, read from the environment unless given.

    A keyword is the name of a field, or of a variable in either case: ``traces_sampler="always_off"``,
    ``OTEL_TRACES_SAMPLER="always_off"``. What is given beats the environment, whatever form it has. Values may be
    text, as in the environment, or numbers, booleans, sequences and mappings. Bad ones never raise unless strict:
    they are listed in `problems`, and the default is used.

    Raises:
        ConfigurationError: With ``ECO2_TRACING_STRICT=true``, one that lists every problem.

    Its fields are those of `Settings`.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        frozen=True, extra="forbid", env_file=None
    )

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)

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
