"""Records the contexts in which servers are started in this process.

Every request inherits the context of the server's start. A server without a lifespan does not call the application
at the start. Therefore uvicorn's ``Server.serve`` is patched, which all ways to start uvicorn call.
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

server_contexts: dict[int, Context] = {}
"""The contexts in which running servers were started, by identity. Empty contexts are not recorded."""

_hooked: list[str] = []


def inherited_contexts(scope: ReadScope) -> tuple[Context, ...]:
    """Return the contexts that a request may inherit from its server; none for an in-process call.

    Args:
        scope: The ASGI scope of the request. In-process clients do not set ``spec_version``.
    """
    return tuple(server_contexts.values()) if "spec_version" in scope.get("asgi", ()) else ()


def record_server_contexts() -> None:
    """Patch uvicorn, now or when it is imported, to record the context of its start. Safe to call twice."""
    if not _hooked:
        _hooked.append("uvicorn")
        register_post_import_hook(_patch, "uvicorn.server")


def _patch(module: ModuleType) -> None:
    with guarded("watching uvicorn"):  # other versions of uvicorn may lack the method
        server: Any = module.Server
        server.serve = _with_recorded_context(server.serve)


def _with_recorded_context(original: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    @functools.wraps(original)
    async def serve(self: object, *args: object, **kwargs: object) -> object:
        context = otel_context.get()
        if not context:
            return await original(self, *args, **kwargs)
        server_contexts[id(context)] = context
        try:
            return await original(self, *args, **kwargs)
        finally:
            server_contexts.pop(id(context), None)

    return serve
