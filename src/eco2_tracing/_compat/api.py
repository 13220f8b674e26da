"""Private names of `opentelemetry-api`. Checked with 1.44 and 1.45."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace


def global_provider() -> trace.TracerProvider | None:
    """Return the global tracer provider; ``None`` if none was set.

    The public `trace.get_tracer_provider` is not asked: without a provider it loads the one that
    ``OTEL_PYTHON_TRACER_PROVIDER`` names, or raises. An API without the private name has no provider for this function.
    """
    provider: trace.TracerProvider | None = getattr(trace, "_TRACER_PROVIDER", None)
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider


def forget_global_provider() -> Callable[[], None]:
    """Take the global tracer provider away, so that another one can be set.

    The API sets a provider once in a process and has no public way back.

    Returns:
        A function that puts the former provider back.

    Raises:
        AttributeError: The API has no such private names; its provider stays.
    """
    state: Any = trace
    once = state._TRACER_PROVIDER_SET_ONCE
    before = state._TRACER_PROVIDER, once
    state._TRACER_PROVIDER_SET_ONCE = type(once)()
    state._TRACER_PROVIDER = None

    def put_back() -> None:
        state._TRACER_PROVIDER, state._TRACER_PROVIDER_SET_ONCE = before

    return put_back


def _span_block() -> Callable[[Any], Any]:
    try:
        from opentelemetry.util._decorator import _agnosticcontextmanager
    except ImportError:
        return contextmanager
    return _agnosticcontextmanager


span_block = _span_block()
"""Makes a context manager of a generator function, which also decorates coroutine functions.

An API without its private `_agnosticcontextmanager` leaves the standard library's, which decorates plain functions.
"""
