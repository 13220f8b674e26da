"""Private names of OpenTelemetry's instrumentation packages. Checked with 0.65b0 and 0.66b1."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind
from wrapt import register_post_import_hook

from eco2_tracing._guard import guarded, internal_failure

if TYPE_CHECKING:
    from types import ModuleType

    from opentelemetry.trace import Span

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


def remove_hooks(instrumentor: Any) -> None:
    """Remove an instrumentation's hooks (`BaseInstrumentor._uninstrument`); it stays switched on by its own account.

    The method is abstract in the published base class, so that every instrumentation has it.
    """
    instrumentor._uninstrument()


def leave_out_searches(redis: ModuleType) -> None:
    """Keep queries and documents of searches out of the spans of Redis. Safe to call twice.

    Args:
        redis: ``opentelemetry.instrumentation.redis``. A version without the private functions is not changed.
    """
    for name in ("_add_search_attributes", "_add_create_attributes"):
        if hasattr(redis, name):
            setattr(redis, name, _nothing)


def _nothing(*_arguments: object) -> None:
    return


def show_keys(redis: ModuleType, util: ModuleType, text: Callable[[Sequence[object]], str]) -> None:
    """Replace the function that writes the text of a Redis command. Safe to call twice.

    Args:
        redis: ``opentelemetry.instrumentation.redis``.
        util: Its module ``util``. A version without the private function keeps its text, which has no keys.
        text: Returns the text of a command's arguments.
    """
    for module in (redis, util):
        if hasattr(module, "_format_command_args"):
            module._format_command_args = text  # type: ignore[attr-defined]  # a private name


def span_of(execution: Any) -> Span | None:
    """Return the span of a statement that SQLAlchemy executes; ``None`` without one or with other private names."""
    found: Span | None = getattr(execution, "_otel_span", None)
    return found


def wrap_server_spans(interceptor: Any, around: Callable[[Span], AbstractContextManager[object]]) -> None:
    """Run a context manager inside of each span of a gRPC server interceptor. Safe to call twice.

    Args:
        interceptor: The class ``OpenTelemetryServerInterceptor``. One without the private method `_start_span` is not
            changed, and one line is logged.
        around: Returns the context manager of a span.
    """
    with guarded("the status of gRPC server spans"):
        original = interceptor._start_span
        if not hasattr(original, "__wrapped__"):
            interceptor._start_span = _wrapped_span(original, around)


def _wrapped_span(
    original: Callable[..., AbstractContextManager[Span]],
    around: Callable[[Span], AbstractContextManager[object]],
) -> Callable[..., AbstractContextManager[Span]]:
    @functools.wraps(original)
    @contextmanager
    def start_span(*args: object, **kwargs: object) -> Iterator[Span]:
        with original(*args, **kwargs) as span, around(span):
            yield span

    return start_span
