"""OpenTelemetry's instrumentation packages, made to speak the stable semantic conventions."""

from __future__ import annotations

from types import ModuleType

from wrapt import register_post_import_hook

from eco2_tracing._guard import internal_failure

_MODULE = "opentelemetry.instrumentation._semconv"


def stable_semconv() -> None:
    """Make the packages' HTTP and database spans follow the stable conventions.

    They ask ``OTEL_SEMCONV_STABILITY_OPT_IN`` once, when the first of them is switched on. The answer is
    given in their place as soon as they are imported, and the environment stays as it is: processes
    started from here inherit it. What was switched on before keeps what it chose.
    """
    register_post_import_hook(_choose, _MODULE)


def _choose(module: ModuleType) -> None:
    try:
        conventions = module._OpenTelemetrySemanticConventionStability
        signals, modes = module._OpenTelemetryStabilitySignalType, module._StabilityMode
        with conventions._lock:
            chosen = {signals.HTTP: modes.HTTP, signals.DATABASE: modes.DATABASE}
            conventions._OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING.update(chosen)
            conventions._initialized = True
    except Exception:  # noqa: BLE001 - private parts, which a new version may move
        internal_failure("choosing the stable semantic conventions")
