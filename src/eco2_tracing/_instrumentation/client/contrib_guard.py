"""Prevents contrib's httpx instrumentors from creating a second client span for a call."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from wrapt import register_post_import_hook, wrap_function_wrapper

from eco2_tracing._guard import internal_failure, logger
from eco2_tracing._instrumentation.common.state import current

_MODULE = "opentelemetry.instrumentation.httpx"
_CLASSES = ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor")


def block_contrib_spans() -> None:
    """Patch contrib's instrumentors to do nothing while httpx is instrumented by us. Safe to call twice."""
    register_post_import_hook(_watch, _MODULE)


def _watch(module: ModuleType) -> None:
    if hasattr(module, "_eco2_watched"):
        return
    module._eco2_watched = True  # type: ignore[attr-defined]
    for name in _CLASSES:
        for method in ("_instrument", "instrument_client"):
            try:
                wrap_function_wrapper(module, f"{name}.{method}", _unless_instrumented)
            except AttributeError:  # older packages lack httpx2; newer ones may lack the private method
                if method == "_instrument" and hasattr(module, name):
                    internal_failure("keeping client spans to one")


def _unless_instrumented(wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any) -> Any:
    state = current.state
    if current.calls and state is not None:
        if not state.has_reported:
            state.has_reported = True
            logger.info(
                "eco2-tracing is in charge of client spans: opentelemetry-instrumentation-httpx creates none"
            )
        return None
    return wrapped(*args, **kwargs)
