"""The current context in thread pools.

``asyncio.to_thread`` and AnyIO's worker threads copy it by themselves. OpenTelemetry's ``threading`` instrumentation
would do so for pools too, but it also gives every ``threading.Thread`` the context in which it was started. If the
first request starts the maintenance thread of a connection pool, all spans of that thread become its children.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from opentelemetry import context as otel_context

_Result = TypeVar("_Result")
_MARK = "__eco2_tracing_original__"


def instrument_executors() -> None:
    """Run functions passed to ``ThreadPoolExecutor.submit`` in the context of the call. Safe to call twice.

    That includes ``loop.run_in_executor`` and ``executor.map``.
    """
    original = ThreadPoolExecutor.submit
    if hasattr(original, _MARK):
        return

    def submit(
        self: ThreadPoolExecutor, fn: Callable[..., _Result], /, *args: object, **kwargs: object
    ) -> Future[_Result]:
        context = otel_context.get_current()
        if not context:
            return original(self, fn, *args, **kwargs)
        return original(self, _run, context, functools.partial(fn, *args, **kwargs))

    setattr(submit, _MARK, original)
    ThreadPoolExecutor.submit = functools.update_wrapper(submit, original)  # type: ignore[method-assign,arg-type,assignment]  # the same signature


def uninstrument_executors() -> None:
    """Undo `instrument_executors`, unless other code has wrapped the method since."""
    original = getattr(ThreadPoolExecutor.submit, _MARK, None)
    if original is not None:
        ThreadPoolExecutor.submit = original  # type: ignore[method-assign]  # the standard library's own


def _run(context: otel_context.Context, call: Callable[[], _Result]) -> _Result:
    token = otel_context.attach(context)
    try:
        return call()
    finally:
        otel_context.detach(token)
