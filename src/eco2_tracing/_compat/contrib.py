"""Private names of OpenTelemetry's instrumentation packages. Checked with 0.65b0 and 0.66b1."""

from __future__ import annotations

from types import ModuleType

from wrapt import register_post_import_hook

from eco2_tracing._guard import internal_failure

_MODULE = "opentelemetry.instrumentation._semconv"


def stable_semconv() -> None:
    """Make the packages' HTTP and database spans follow the stable conventions.

    They read ``OTEL_SEMCONV_STABILITY_OPT_IN`` once, when the first of them is applied. Their choice is set as soon as
    they are imported, and the environment stays as it is, because child processes inherit it. What was applied before
    keeps what it chose. With other private names the packages keep their default, and one line is logged.
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
    except Exception:  # noqa: BLE001 - private names, which a later version may lack
        internal_failure("choosing the stable semantic conventions")
