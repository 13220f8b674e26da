"""Private names of `opentelemetry-api`. Checked with 1.44 and 1.45."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from opentelemetry import metrics, trace


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


def global_meter_provider() -> metrics.MeterProvider | None:
    """Return the global meter provider; ``None`` if none was set, or if the API has no such private names.

    As for `global_provider`, the public function is not asked.
    """
    state: Any = getattr(metrics, "_internal", None)
    provider: metrics.MeterProvider | None = getattr(state, "_METER_PROVIDER", None)
    return provider


def forget_global_meter_provider() -> None:
    """Take the global meter provider away, so that another one can be set.

    Raises:
        AttributeError: The API has no such private names; its provider stays.
    """
    state: Any = metrics._internal
    once = state._METER_PROVIDER_SET_ONCE
    state._METER_PROVIDER_SET_ONCE = type(once)()
    state._METER_PROVIDER = None


def global_logger_provider() -> object:
    """Return the global logger provider; ``None`` if none was set, or if the API has no such private names."""
    return getattr(_logs_state(), "_LOGGER_PROVIDER", None)


def forget_global_logger_provider() -> None:
    """Take the global logger provider away, so that another one can be set.

    Raises:
        AttributeError: The API has no such private names; its provider stays.
    """
    state = _logs_state()
    once = state._LOGGER_PROVIDER_SET_ONCE
    state._LOGGER_PROVIDER_SET_ONCE = type(once)()
    state._LOGGER_PROVIDER = None


def _logs_state() -> Any:
    from opentelemetry import _logs  # 9 ms with a FastAPI that does not import it

    return _logs._internal


def gauge_class() -> type:
    """Return the API's class of gauges, which has no public name; `object` if the private one is gone."""
    found: type = getattr(metrics, "_Gauge", object)
    return found


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
