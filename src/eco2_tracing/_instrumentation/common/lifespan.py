"""Serves lifespans: flushes at their end, and reports an application without ``configure_tracing``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace

from eco2_tracing._guard import attempt, guarded, warn_once
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._settings import load_settings

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.http_attributes import ASGIApp, Message, Receive, Scope, Send
    from eco2_tracing._instrumentation.common.state import InstrumentationState

_STARTED = "lifespan.startup.complete"
_ENDED = ("lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed")


async def lifespan(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a lifespan; flush before the server receives its last message.

    The configuration is read at each message, because an application may call ``configure_tracing`` in its own
    start-up.
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


def report_unconfigured() -> None:
    """Log once that no spans are created, unless tracing is disabled or another provider is installed."""
    current.configured = True  # later requests skip this check
    if not attempt("a request without a configuration", _needs_configuration, default=False):
        return
    warn_once(
        "unconfigured",
        "this application is instrumented, but configure_tracing() was not called: its requests have no spans; "
        "call configure_tracing() at start-up, or set OTEL_SDK_DISABLED=true where no tracing is wanted",
    )


def _needs_configuration() -> bool:
    # The provider of the API, which creates no spans, stands for none.
    is_unset = type(trace.get_tracer_provider()).__module__.startswith("opentelemetry.trace")
    return is_unset and not load_settings().disabled
