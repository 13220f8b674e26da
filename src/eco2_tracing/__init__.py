"""Tracing for FastAPI services behind an Istio/Envoy mesh.

Import this package before FastAPI: a bad ``OTEL_PROPAGATORS`` then cannot stop the service.
"""

import gc as _gc
import typing as _typing

# Modules are not garbage. While they are imported, the collector would traverse all of them several times, those of
# FastAPI included, which takes two fifths of the time of this import.
_collects = _gc.isenabled()
_gc.disable()
try:
    from eco2_tracing import _settings
    from eco2_tracing._errors import ConfigurationError
    from eco2_tracing._instrumentation.client.httpx import instrument_httpx
    from eco2_tracing._lifecycle.configure import (
        configure_tracing,
        flush_tracing,
        instrument_app,
        instrument_libraries,
        shutdown_tracing,
        tracing_status,
    )
    from eco2_tracing._lifecycle.report import TracingStatus
    from eco2_tracing._spans.manual import current_span_id, current_trace_id, span, traced
    from eco2_tracing.logs import bind_log_fields, configure_logging
finally:
    if _collects:
        _gc.enable()

if _typing.TYPE_CHECKING:
    from eco2_tracing._settings import TracingSettings

__all__ = [
    "ConfigurationError",
    "TracingSettings",
    "TracingStatus",
    "bind_log_fields",
    "configure_logging",
    "configure_tracing",
    "current_span_id",
    "current_trace_id",
    "flush_tracing",
    "instrument_app",
    "instrument_httpx",
    "instrument_libraries",
    "shutdown_tracing",
    "span",
    "traced",
    "tracing_status",
]


def __getattr__(name: str) -> object:
    """Import `TracingSettings` at its first use: pydantic-settings takes longer than the rest of this import."""
    if name != "TracingSettings":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _settings.TracingSettings


def __dir__() -> list[str]:
    """Return the names of the module, those included that are imported at their first use."""
    return sorted({*globals(), *__all__})
