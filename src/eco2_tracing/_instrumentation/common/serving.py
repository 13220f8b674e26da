"""What was in the context when a server was started in this process: none of its requests put it there.

A server hands the context of its start to every request. Where it runs no lifespan, nothing of the application is
called at the start. So uvicorn's ``Server.serve`` is looked at, which every way to start it passes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from wrapt import register_post_import_hook

from eco2_tracing._context import otel_context
from eco2_tracing._guard import guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from opentelemetry.context import Context

    from eco2_tracing._instrumentation.common.asgi import ReadScope

serving: dict[int, Context] = {}
"""The contexts, not empty, in which servers that still run were started; by their identity."""

_hooked: list[str] = []


def served_in(scope: ReadScope) -> tuple[Context, ...]:
    """Return the contexts that a request of uvicorn may have of its server; none for an in-process call.

    Args:
        scope: The ASGI scope of the request. In-process clients leave the version of the specification out.
    """
    return tuple(serving.values()) if "spec_version" in scope.get("asgi", ()) else ()


def watch_servers() -> None:
    """Note the context in which uvicorn is started, imported or not; safe to call twice."""
    if not _hooked:
        _hooked.append("uvicorn")
        register_post_import_hook(_watch, "uvicorn.server")


def _watch(module: ModuleType) -> None:
    with guarded("watching uvicorn"):  # a version of the package may look otherwise
        server: Any = module.Server
        server.serve = _noting(server.serve)


def _noting(original: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    @functools.wraps(original)
    async def serve(self: object, *args: object, **kwargs: object) -> object:
        context = otel_context.get()
        if not context:
            return await original(self, *args, **kwargs)
        serving[id(context)] = context
        try:
            return await original(self, *args, **kwargs)
        finally:
            serving.pop(id(context), None)

    return serve
