"""A ticking task that measures the longest stall of the event loop.

The figure lies in a file that is mapped into memory, so that it is there however the process ends. Time that
the loop's thread was ready to run, and other programs had the processors, is not counted: Linux tells it.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Any

from benchmarks.reliability._scheduler import Waiting

FILE = "RELIABILITY_TICKS"
_FIGURE = struct.Struct("d")
_TICK_S = 0.001
_tasks: set[asyncio.Task[None]] = set()


def prepare(file: Path) -> None:
    """Make the file that the service writes to."""
    file.write_bytes(_FIGURE.pack(0.0))


def longest(file: Path) -> float:
    """Give the seconds of the longest stall."""
    return float(_FIGURE.unpack(file.read_bytes())[0])


def add(app: Any) -> None:
    """Add the route that sets it going."""

    @app.get("/tick")
    async def tick() -> bool:
        with Path(os.environ[FILE]).open("r+b") as opened:  # noqa: ASYNC230 - once, before it ticks
            memory = mmap.mmap(opened.fileno(), _FIGURE.size)
        _tasks.add(asyncio.get_running_loop().create_task(_tick(memory)))
        return True


async def _tick(memory: mmap.mmap) -> None:
    worst = 0.0
    waiting = Waiting()
    last, last_waited = time.monotonic(), waiting.seconds()
    while True:
        await asyncio.sleep(_TICK_S)
        now, waited = time.monotonic(), waiting.seconds()
        stall = now - last - (waited - last_waited)
        if stall > worst:
            worst = stall
            _FIGURE.pack_into(memory, 0, worst)
        last, last_waited = now, waited
