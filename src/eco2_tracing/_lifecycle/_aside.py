"""Waiting beside an event loop."""

from __future__ import annotations

from collections.abc import Callable

from anyio import CapacityLimiter
from anyio.to_thread import run_sync


async def aside(wait: Callable[[], object]) -> None:
    """Wait in a thread, for the event loop has others to serve.

    The thread is none of those that the application's own work shares: at the end of a server, all of them may hang.

    Args:
        wait: Takes a bounded time.
    """
    await run_sync(wait, abandon_on_cancel=True, limiter=CapacityLimiter(1))
