"""Flushes at the end of the application's lifespan, after the application's own shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.state import current

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.asgi import ASGIApp, Message, Receive, Scope, Send
    from eco2_tracing._instrumentation.common.state import InstrumentationState

_STARTED = "lifespan.startup.complete"
_ENDED = ("lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed")


async def lifespan(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a lifespan; flush before the server receives its last message.

    The configuration is read at each message, because an application may call ``configure_tracing`` in its own
    start-up.

    Args:
        app: The next ASGI application.
        scope: The ASGI scope.
        receive: The server's ``receive``.
        send: The server's ``send``.
    """
    initial_state = current.state
    _start(initial_state)

    async def forward(message: Message) -> None:
        state = current.state
        if message["type"] == _STARTED and state is not initial_state:
            _start(state)
        elif message["type"] in _ENDED and state is not None and state.shutdown is not None:
            with guarded("the flush at the end of a lifespan"):
                await state.shutdown()
        await send(message)

    await app(scope, receive, forward)


def _start(state: InstrumentationState | None) -> None:
    if state is not None and state.startup is not None:
        with guarded("the beginning of a lifespan"):
            state.startup()
