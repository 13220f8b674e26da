"""Background tasks: a span of their own, because they run after the server span has ended."""

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
    """Give each ``BackgroundTask`` of a traced request a span; safe to call twice.

    Contrib's FastAPI instrumentation replaces the method as well, and puts an older one back when it is removed. So
    each call wraps the method that is in force, unless that is ours. A task that passes two of our wrappers gets one
    span.

    Starlette offers no other place: the task is called by the response, inside the application.
    Outside a traced request, and where nothing is configured, the call passes untouched, so that
    there is nothing to undo.
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
