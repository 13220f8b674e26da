"""The application's lifespan: its end flushes, after the application's own shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import internal_failure

if TYPE_CHECKING:
    from eco2_tracing._instrumentation._engine import Engine

_ENDED = ("lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed")


async def lifespan(app: Any, engine: Engine, scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Run a lifespan; flush before the server hears of its end.

    Args:
        app: The rest of the application.
        engine: The configuration in force.
        scope: The ASGI scope.
        receive: The server's ``receive``.
        send: The server's ``send``.
    """
    if engine.startup is not None:
        try:
            engine.startup()
        except Exception:  # noqa: BLE001 - the request goes on
            internal_failure("the beginning of a lifespan")

    async def forward(message: dict[str, Any]) -> None:
        if message["type"] in _ENDED and engine.shutdown is not None:
            try:
                await engine.shutdown()
            except Exception:  # noqa: BLE001 - the request goes on
                internal_failure("the flush at the end of a lifespan")
        await send(message)

    await app(scope, receive, forward)
