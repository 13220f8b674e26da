"""A row of the table of settings."""

from __future__ import annotations

from typing import NamedTuple

from eco2_tracing._settings.fields import SERVICE_NAME, SOURCES, Settings

SPECIFICATION, PYTHON, OWN = "the OpenTelemetry specification", "OpenTelemetry Python", "eco2-tracing"
_OF_ONE_SIGNAL = ("exporter_otlp_metrics_", "exporter_otlp_logs_")
_ORIGINS = {
    "OTEL_PYTHON_": PYTHON,
    "OTEL_INSTRUMENTATION_": PYTHON,
    "OTEL_": SPECIFICATION,
    "ECO2_TRACING_": OWN,
}


class Setting(NamedTuple):
    """A field of `TracingSettings`, or a variable that sets no field of its own.

    Attributes:
        name: The field in lower case, or the variable.
        effect: What it does, in sentences.
        example: A value that changes something.
        unit: The unit of the value; empty for text and booleans.
        default: What applies where it is not set, if the field's own default does not say that.
        origin: Who defines the variable, if its prefix does not say that.
        specified: The default of the specification, where it differs.
    """

    name: str
    effect: str
    example: str = ""
    unit: str = ""
    default: str = ""
    origin: str = ""
    specified: str = ""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that set it, the general form of OTLP first; empty for a field that no variable sets alone."""
        if self.name.isupper():
            return (self.name,)
        if self.name == "service_name":
            return (SERVICE_NAME,)
        if self.name not in SOURCES:
            return ()
        variables = SOURCES[self.name].variables
        is_shared = self.name.startswith("exporter_otlp") and not self.name.startswith(_OF_ONE_SIGNAL)
        return variables[::-1] if is_shared else variables[:1]

    @property
    def shown_default(self) -> str:
        """The default as text: that of the row, else that of the field; empty for none."""
        if self.default or self.name.isupper():
            return self.default
        value = getattr(Settings, self.name)
        if isinstance(value, bool):
            return f"`{str(value).lower()}`"
        if isinstance(value, tuple):
            value = ",".join(value)
        return f"`{value:.10g}`" if isinstance(value, float) else f"`{value}`" if value or value == 0 else ""

    @property
    def defined_by(self) -> str:
        """Who defines the variable."""
        prefixes = (origin for prefix, origin in _ORIGINS.items() if self.variables[0].startswith(prefix))
        return self.origin or next(prefixes)
