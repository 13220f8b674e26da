"""Tables made of the fields: the settings, the variables that are read, and the keywords of the constructor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from eco2_tracing._settings.fields import Settings

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
    for field, annotation in Settings.__annotations__.items():
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
        # A keyword of OTLP is the general form: a path is appended to its endpoint.
        found[field] = source.variables[-1 if field.startswith("exporter_otlp") else 0]
    return found


KEYWORDS = _keywords()
"""Each keyword of the constructor in lower case, with its variable."""
