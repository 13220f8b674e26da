"""The application's lifespan: its end flushes, after the application's own shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.state import current

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.state import InstrumentationState

_STARTED = "lifespan.startup.complete"
_ENDED = ("lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed")


async def lifespan(app: Any, scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Run a lifespan; flush before the server hears of its end.

    The configuration that counts is the one in force when something happens: an application may
    call ``configure_tracing`` in its own start-up.

    Args:
        app: The rest of the application.
        scope: The ASGI scope.
        receive: The server's ``receive``.
        send: The server's ``send``.
    """
    begun = current.engine
    _begin(begun)

    async def forward(message: dict[str, Any]) -> None:
        engine = current.engine
        if message["type"] == _STARTED and engine is not begun:
            _begin(engine)
        elif message["type"] in _ENDED and engine is not None and engine.shutdown is not None:
            try:
                await engine.shutdown()
            except Exception:  # noqa: BLE001 - the application's end goes on
                internal_failure("the flush at the end of a lifespan")
        await send(message)

    await app(scope, receive, forward)


def _begin(engine: InstrumentationState | None) -> None:
    if engine is None or engine.startup is None:
        return
    try:
        engine.startup()
    except Exception:  # noqa: BLE001 - the application's start goes on
        internal_failure("the beginning of a lifespan")
