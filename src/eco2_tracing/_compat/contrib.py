"""Private names of OpenTelemetry's instrumentation packages. Checked with 0.65b0 and 0.66b1."""

from __future__ import annotations

from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

from opentelemetry.trace import SpanKind
from wrapt import register_post_import_hook

from eco2_tracing._guard import internal_failure

_MODULE = "opentelemetry.instrumentation._semconv"
_ASGI = "opentelemetry.instrumentation.asgi"
_SPAN = "server_span"
_MOST_CALLABLES = 64


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


def is_served_by_contrib(send: Any) -> bool:
    """Return whether contrib's ASGI middleware outside has begun a server span for a request.

    Its ``send`` is a function that closes over the span, in a variable ``server_span``. Middleware between holds that
    function in a closure, a `functools.partial` or an attribute. With other private names the answer is ``False``: then
    a request has a second server span where another span is current between the two.

    Args:
        send: The ``send`` of the request.
    """
    waiting, seen = [send], 0
    while waiting and seen < _MOST_CALLABLES:
        seen += 1
        each = waiting.pop()
        if isinstance(each, partial):
            waiting += [*each.args, *each.keywords.values(), each.func]
        elif isinstance(each, MethodType):
            waiting += [value for value in getattr(each.__self__, "__dict__", {}).values() if callable(value)]
        elif isinstance(each, FunctionType):
            held = _closed_over(each)
            if each.__globals__.get("__name__") == _ASGI and _is_server_span(held.get(_SPAN)):
                return True
            waiting += [value for value in held.values() if callable(value)]
    return False


def _is_server_span(span: Any) -> bool:
    return getattr(span, "kind", None) is SpanKind.SERVER and bool(span.is_recording())


def _closed_over(function: FunctionType) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return found
