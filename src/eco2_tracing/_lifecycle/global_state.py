"""OpenTelemetry's global provider and propagator: set and restored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry import metrics, propagate, trace

from eco2_tracing._compat.api import forget_global_provider, global_provider
from eco2_tracing._guard import internal_failure, result_or_error, warn_once
from eco2_tracing._settings import shown
from eco2_tracing._spans.provider import tracers

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.propagators.textmap import TextMapPropagator

    from eco2_tracing._spans.provider import TracerProvider


def ensure_meter_provider() -> None:
    """Make sure that the API has a meter provider: every tracer of the SDK asks for one."""
    _ensure(
        "OTEL_PYTHON_METER_PROVIDER",
        metrics.get_meter_provider,
        lambda: metrics.set_meter_provider(metrics.NoOpMeterProvider()),
    )


def _ensure_others() -> None:
    """Do the same for tracers and logs: FastAPI asks for both at each request."""
    _ensure(
        "OTEL_PYTHON_TRACER_PROVIDER",
        trace.get_tracer_provider,
        lambda: trace.set_tracer_provider(trace.NoOpTracerProvider()),
    )
    if "OTEL_PYTHON_LOGGER_PROVIDER" in os.environ:
        from opentelemetry import _logs  # 9 ms with a FastAPI that does not import it

        _ensure(
            "OTEL_PYTHON_LOGGER_PROVIDER",
            _logs.get_logger_provider,
            lambda: _logs.set_logger_provider(_logs.NoOpLoggerProvider()),
        )


def _ensure(variable: str, get: Callable[[], object], replace: Callable[[], None]) -> None:
    """Replace a provider that cannot be loaded: the API would raise at each use."""
    if isinstance(result_or_error(get), Exception):
        replace()
        found = shown(variable, os.environ.get(variable, ""))
        warn_once(f"provider:{variable}", "%s=%r cannot be loaded; none is used", variable, found)


def install(provider: TracerProvider | None, propagator: TextMapPropagator) -> TextMapPropagator:
    """Make them the global ones; ``None`` keeps the global provider. Return the former propagator, for `uninstall`."""
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(propagator)
    if provider is not None:
        trace.set_tracer_provider(provider)
        tracers.bind(provider.factory)
    _ensure_others()
    return before


def uninstall(provider: TracerProvider | None, propagator: TextMapPropagator) -> None:
    """Undo `install`, which returned the propagator."""
    propagate.set_global_textmap(propagator)
    if provider is None:
        return
    tracers.bind(None)
    if global_provider() is provider:
        try:
            forget_global_provider()
        except AttributeError:  # a version of the API without the private names
            internal_failure("putting the API's tracer provider back")
