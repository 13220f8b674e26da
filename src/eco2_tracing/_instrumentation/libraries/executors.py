"""The current span, carried into thread pools.

``asyncio.to_thread`` and AnyIO's worker threads carry it by themselves. OpenTelemetry's ``threading``
instrumentation would do this too, and more: it gives every ``threading.Thread`` the context it was
started in for life, so that a connection pool's housekeeper, started by the first request that
needs it, makes all its later spans children of that request.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import context as otel_context

_MARK = "__eco2_tracing_original__"


def instrument_executors() -> None:
    """Run what ``ThreadPoolExecutor.submit`` is given in the context it was submitted in.

    That covers ``loop.run_in_executor`` and ``executor.map``. Safe to call twice.
    """
    original: Any = ThreadPoolExecutor.submit
    if hasattr(original, _MARK):
        return

    @functools.wraps(original)
    def submit(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        context = otel_context.get_current()
        if not context:
            return original(self, fn, *args, **kwargs)
        return original(self, _run, context, fn, args, kwargs)

    setattr(submit, _MARK, original)
    ThreadPoolExecutor.submit = submit  # type: ignore[assignment,method-assign]


def uninstrument_executors() -> None:
    """Undo ``instrument_executors``, unless somebody else wrapped the method since."""
    original = getattr(ThreadPoolExecutor.submit, _MARK, None)
    if original is not None:
        ThreadPoolExecutor.submit = original  # type: ignore[method-assign]


def _run(
    context: otel_context.Context, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    token = otel_context.attach(context)
    try:
        return fn(*args, **kwargs)
    finally:
        otel_context.detach(token)
