"""Private names of OpenTelemetry's instrumentations of libraries. Checked with 0.65b0 and 0.66b1."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import guarded

if TYPE_CHECKING:
    from types import ModuleType

    from opentelemetry.trace import Span


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
