"""Blocking work in a thread while an event loop runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from eco2_tracing._guard import guarded
from eco2_tracing._native import NativeThread


async def run_off_loop(function: Callable[[], object], what: str) -> None:
    """Run a function in a thread of its own, and wait for it. The application may have blocked its thread pool.

    Args:
        function: Blocks for a limited time.
        what: Names the work in the log if it raises.
    """

    def run() -> None:
        with guarded(what):
            function()

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio
        await run_sync(run, abandon_on_cancel=True, limiter=CapacityLimiter(1))
        return
    # anyio would load its backend at its first call, which blocks the loop for 70 ms.
    finished: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not finished.done():
            finished.set_result(None)

    def run_and_finish() -> None:
        run()
        with suppress(RuntimeError):  # the waiting task was cancelled, and the loop is closed
            loop.call_soon_threadsafe(finish)

    try:
        NativeThread(run_and_finish, "eco2-tracing-aside").start()
    except RuntimeError:  # no thread can be started
        run_and_finish()
    await finished
