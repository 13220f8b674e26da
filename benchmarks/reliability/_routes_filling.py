"""Routes that fill the queue, and flush it within a limit; in the service."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.reliability._service import MODE

NAME = "filled"


def add(app: Any) -> None:
    """Add the routes."""
    from opentelemetry import trace

    tracer = trace.get_tracer("reliability")

    @app.get("/fill/{count}")
    def fill(count: int) -> int:
        for _ in range(count):
            tracer.start_span(NAME).end()
        return count

    @app.get("/flush-within/{limit_s}")
    def flush_within(limit_s: float) -> tuple[bool, float]:
        begun = time.monotonic()
        if MODE == "ours":
            import eco2_tracing

            told = eco2_tracing.flush_tracing(limit_s)
        else:
            told = trace.get_tracer_provider().force_flush(int(limit_s * 1000))
        return told, time.monotonic() - begun
