"""Configurations that the application's own call replaces: of `eco2-tracing run` and of the pytest fixtures."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from eco2_tracing import _settings
from eco2_tracing._errors import ConfigurationError
from eco2_tracing._lifecycle.configure import _process, configure_tracing
from eco2_tracing._lifecycle.libraries import instrument_by
from eco2_tracing._lifecycle.report import announce

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from eco2_tracing._lifecycle.arguments import Arguments


def prepare_tracing() -> None:
    """Instrument libraries before ``configure_tracing`` is called, as the environment says."""
    if _process.tracing is None:
        with suppress(ConfigurationError):  # strict mode: `configure_tracing` raises it
            _process.prepared = _settings.load_settings()
            instrument_by(_process.prepared)


def configure_by_default(level: int) -> None:
    """Configure tracing as the environment says, unless it is configured.

    Args:
        level: The level of the start-up line; it is written again if the level was lower before.
    """
    with _process.lock:
        if _process.tracing is None:
            _process.level = level
            configure_tracing()
            _process.replacement = lambda given: given
        elif _process.replacement is not None and _process.level < level:
            _process.level = level
            announce(_process.tracing, level)


class _ServiceOfTests:
    """What the application's code says about its service, for the fixtures of later tests.

    The code says it once: a module is imported once, by the first test that needs it or before the tests.
    """

    def __init__(self) -> None:
        self.given: Arguments | None = None

    def remember(self) -> None:
        """Remember the configuration in force, if any."""
        if _process.tracing is not None:
            self.given = _process.arguments

    def configure(self, processor: SpanProcessor) -> None:
        """Configure tracing without an exporter; a call of the application adds what it says about the service.

        Args:
            processor: Gets the spans.
        """
        none = ("none",)
        settings = _settings.TracingSettings(traces_exporter=none, metrics_exporter=none, logs_exporter=none)

        def replacement(given: Arguments) -> Arguments:
            self.given = given
            return given._replace(settings=settings, span_processors=(processor,))

        known = self.given
        configure_tracing(
            known and known.service_name,
            known and known.service_version,
            known and known.environment,
            resource_attributes=known and known.resource_attributes,
            settings=settings,
            span_processors=(processor,),
        )
        _process.replacement = replacement


service_of_tests = _ServiceOfTests()
