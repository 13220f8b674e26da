"""Environment to frozen settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eco2_tracing._early import protect_variables

# Before pydantic: a plugin of pydantic may import opentelemetry.propagate when a model is built.
protect_variables()

from eco2_tracing._settings.display import shown_endpoint, shown_text  # noqa: E402
from eco2_tracing._settings.expressions import withhold_expressions  # noqa: E402
from eco2_tracing._settings.fields import OF_SIGNALS, Settings  # noqa: E402
from eco2_tracing._settings.hosts import InternalHosts  # noqa: E402
from eco2_tracing._settings.load import load_settings, report_problems  # noqa: E402
from eco2_tracing._settings.otlp import OtlpSettings  # noqa: E402
from eco2_tracing._settings.problem import (  # noqa: E402
    Problem,
    names_argument,
    report_arguments,
    seconds_argument,
    shown,
    shown_argument,
    text_argument,
    unusable,
)

if TYPE_CHECKING:
    from eco2_tracing._settings.model import TracingSettings

__all__ = [
    "OF_SIGNALS",
    "InternalHosts",
    "OtlpSettings",
    "Problem",
    "Settings",
    "TracingSettings",
    "load_settings",
    "names_argument",
    "report_arguments",
    "report_problems",
    "seconds_argument",
    "shown",
    "shown_argument",
    "shown_endpoint",
    "shown_text",
    "text_argument",
    "unusable",
    "withhold_expressions",
]


def __getattr__(name: str) -> object:
    """Import the model at its first use: importing pydantic-settings takes longer than the rest of a start."""
    if name != "TracingSettings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from eco2_tracing._settings.model import TracingSettings

    globals()[name] = TracingSettings
    return TracingSettings
