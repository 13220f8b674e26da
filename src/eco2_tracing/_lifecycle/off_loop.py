"""Waiting beside an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from eco2_tracing._native import NativeThread


async def aside(wait: Callable[[], object]) -> None:
    """Wait in a thread, for the event loop has others to serve.

    The thread is none of those that the application's own work shares: at the end of a server, all of them may hang.

    Args:
        wait: Takes a bounded time; what it raises is raised here.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # the loop is trio's
        await run_sync(wait, abandon_on_cancel=True, limiter=CapacityLimiter(1))
        return
    # Not by way of anyio: its backend is loaded when it is first asked, which would stall the loop for 70 ms.
    waited: asyncio.Future[None] = loop.create_future()

    def told(error: Exception | None) -> None:
        if not waited.done():
            waited.set_exception(error) if error else waited.set_result(None)

    def work() -> None:
        error = None
        try:
            wait()
        except Exception as raised:  # noqa: BLE001 - raised where it is waited for
            error = raised
        with suppress(RuntimeError):  # whoever waited was cancelled, and the loop is closed
            loop.call_soon_threadsafe(told, error)

    try:
        NativeThread(work, "eco2-tracing-aside").start()
    except RuntimeError:  # no thread is to be had: better late than never
        work()
    await waited
