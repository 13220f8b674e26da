"""Creates a span for each background task, because these run after the server span has ended."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from starlette.background import BackgroundTask

from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._spans.manual import span

_OURS = "_eco2_background_span"
_running: ContextVar[BackgroundTask | None] = ContextVar("eco2_background_task", default=None)


def instrument_background_tasks() -> None:
    """Patch ``BackgroundTask`` so that each task of a traced request gets a span. Safe to call twice.

    contrib's FastAPI instrumentation patches the method, too, and restores an older one when it is removed. Therefore
    the present method is wrapped again unless it is our wrapper. A task that runs in two of our wrappers gets one
    span.

    Starlette has no other hook: the response calls the task inside of the application. The wrapper creates no span
    outside of a traced request or without a configuration. Therefore it is never removed.
    """
    original = BackgroundTask.__call__
    if hasattr(original, _OURS):
        return

    @functools.wraps(original)
    async def call(self: BackgroundTask) -> None:
        recording = current.state is not None and trace.get_current_span().get_span_context().is_valid
        if not recording or _running.get() is self:
            await original(self)
            return
        token = _running.set(self)
        try:
            with span(f"BackgroundTask {_name(self.func)}"):
                await original(self)
        finally:
            _running.reset(token)

    setattr(call, _OURS, True)
    BackgroundTask.__call__ = call  # type: ignore[method-assign]


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
