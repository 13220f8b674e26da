"""A wall clock that can be stepped, and requests during the step.

Imported before anything that reads the time, as `RELIABILITY_ROUTES` is not: the row's application is
`benchmarks.reliability._stepping:app`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

_offset_ns = 0
_true_time_ns, _true_time = time.time_ns, time.time


def _time_ns() -> int:
    return _true_time_ns() + _offset_ns


def _time() -> float:
    return _true_time() + _offset_ns / 1e9


time.time_ns, time.time = _time_ns, _time


def step(seconds: float) -> None:
    """Set the wall clock forward, or back."""
    global _offset_ns  # noqa: PLW0603 - there is one clock
    _offset_ns += int(seconds * 1e9)


def restore() -> None:
    """Set the wall clock right, because C code reads the real one and an export must not mix both."""
    step(-_offset_ns / 1e9)


def _app() -> Any:
    # Only now: those who take `time_ns` by name get this one.
    from benchmarks.reliability import _service
    from opentelemetry import trace

    app = _service.app
    tracer = trace.get_tracer("stepping")

    @app.get("/step/{seconds}")
    async def stepped(seconds: float) -> dict[str, int]:
        """Make spans before, across and after a step; give how long each took, in ns."""
        took = {}

        async def work(name: str, *, stepping: bool = False) -> None:
            begun = time.monotonic_ns()
            with tracer.start_as_current_span(name):
                await asyncio.sleep(0.02)
                if stepping:
                    step(seconds)
                await asyncio.sleep(0.02)
            took[name] = time.monotonic_ns() - begun

        await work("first")
        await work("second", stepping=True)
        await work("third")
        return took

    @app.get("/restore")
    async def restored() -> None:
        restore()

    return app


app = _app()
