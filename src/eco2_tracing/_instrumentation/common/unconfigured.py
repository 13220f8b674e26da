"""Reports an instrumented application that is served without ``configure_tracing``."""

from __future__ import annotations

from opentelemetry import trace

from eco2_tracing._guard import attempt, warn_once
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._settings import load_settings


def report_unconfigured() -> None:
    """Log once that no spans are created, unless tracing is disabled or another provider is installed."""
    current.configured = True  # later requests skip this check
    if not attempt("a request without a configuration", _needs_configuration, default=False):
        return
    warn_once(
        "unconfigured",
        "this application is instrumented, but configure_tracing() was not called: its requests have no spans; "
        "call configure_tracing() at start-up, or set OTEL_SDK_DISABLED=true where no tracing is wanted",
    )


def _needs_configuration() -> bool:
    return _is_unset() and not load_settings().disabled


def _is_unset() -> bool:
    """Return whether no provider is installed: those of the API create no spans."""
    return type(trace.get_tracer_provider()).__module__.startswith("opentelemetry.trace")
