"""Tracing for FastAPI services behind an Istio/Envoy mesh.

Import this package before FastAPI: a bad ``OTEL_PROPAGATORS`` then cannot stop the service.
"""

from eco2_tracing._settings._early import protect_propagators_variable as _protect

_protect()

from eco2_tracing._instrumentation._httpx import instrument_httpx  # noqa: E402
from eco2_tracing._lifecycle._configure import (  # noqa: E402
    configure_tracing,
    flush_tracing,
    instrument_app,
    instrument_libraries,
    shutdown_tracing,
    tracing_status,
)
from eco2_tracing._lifecycle._status import TracingStatus  # noqa: E402
from eco2_tracing._settings import TracingSettings  # noqa: E402
from eco2_tracing._spans._manual import current_span_id, current_trace_id, span, traced  # noqa: E402
from eco2_tracing.logs import bind_log_fields, configure_logging  # noqa: E402

__all__ = [
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
