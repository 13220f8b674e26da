"""Tracing for FastAPI services behind an Istio or Envoy mesh.

Three calls trace a service::

    from eco2_tracing import configure_logging, configure_tracing, instrument_app  # before FastAPI

    from fastapi import FastAPI

    configure_logging()
    configure_tracing(service_name="auth-api")
    app = FastAPI()
    instrument_app(app)

Import this package before FastAPI. A bad ``OTEL_PROPAGATORS`` then cannot stop the service.

Each name is imported at its first use, because the command ``eco2-tracing run`` uses none of them.
"""

from eco2_tracing._early import protect_variables as _protect

_protect()

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    from eco2_tracing._settings import TracingSettings
    from eco2_tracing._spans.manual import current_span_id, current_trace_id, span, traced
    from eco2_tracing.logs import bind_log_fields, configure_logging
    from eco2_tracing.metrics import current_exemplar, record_metric
del TYPE_CHECKING

__all__ = [
    "ConfigurationError",
    "TracingSettings",
    "TracingStatus",
    "bind_log_fields",
    "configure_logging",
    "configure_tracing",
    "current_exemplar",
    "current_span_id",
    "current_trace_id",
    "flush_tracing",
    "instrument_app",
    "instrument_httpx",
    "instrument_libraries",
    "record_metric",
    "shutdown_tracing",
    "span",
    "traced",
    "tracing_status",
]

_MODULES = {
    "_errors": ("ConfigurationError",),
    "_instrumentation.client.httpx": ("instrument_httpx",),
    "_lifecycle.configure": (
        "configure_tracing", "flush_tracing", "instrument_app", "instrument_libraries", "shutdown_tracing",
        "tracing_status",
    ),
    "_lifecycle.report": ("TracingStatus",),
    "_settings": ("TracingSettings",),
    "_spans.manual": ("current_span_id", "current_trace_id", "span", "traced"),
    "logs": ("bind_log_fields", "configure_logging"),
    "metrics": ("current_exemplar", "record_metric"),
    "propagation": (),
    "sampling": (),
}  # fmt: skip


def __getattr__(name: str) -> object:
    """Import a name, or a submodule, at its first use."""
    for module, names in _MODULES.items():
        if name == module or name in names:
            found = _imported(f"{__name__}.{module}")
            value = globals()[name] = found if name == module else getattr(found, name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _imported(module: str) -> object:
    """Import a module without garbage collections.

    Modules are not garbage. The collector would traverse all of them several times, those of FastAPI included, which
    takes two fifths of the time of the import.
    """
    import gc
    from importlib import import_module

    collects = gc.isenabled()
    gc.disable()
    try:
        return import_module(module)
    finally:
        if collects:
            gc.enable()


def __dir__() -> list[str]:
    """Return the names of the module, those included that are imported at their first use."""
    return sorted({*globals(), *__all__})
