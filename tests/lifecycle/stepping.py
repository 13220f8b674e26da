"""Makes spans while the wall clock is set; its argument is the step in seconds: see ``test_clock``."""

from __future__ import annotations

import sys
import time

_time, _time_ns = time.time, time.time_ns
_steps: list[float] = []


def step(seconds: float) -> None:
    """Set the wall clock of this process."""
    _steps.append(seconds)


# Before anything is imported that takes the functions to itself.
time.time = lambda: _time() + sum(_steps)
time.time_ns = lambda: _time_ns() + int(sum(_steps) * 1e9)

from fastapi import FastAPI  # noqa: E402
from opentelemetry import trace  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from eco2_tracing import configure_tracing, flush_tracing, instrument_app, span, tracing_status  # noqa: E402

tracer = trace.get_tracer("library")


def main(seconds: float) -> None:
    """Step the clock inside a request, between requests, and while spans wait."""
    configure_tracing("stepped")
    app = FastAPI()
    instrument_app(app)

    @app.get("/")
    async def root() -> None:
        with span("before"):
            pass
        with span("around"):
            step(seconds)
            with tracer.start_as_current_span("inside") as inside:
                inside.add_event("happened")
        with tracer.start_as_current_span("after"):
            pass

    client = TestClient(app)
    client.get("/")
    step(-seconds)
    client.get("/")
    # By itself, within its delay: the worker counts no wall clock.
    while tracing_status().spans_queued:
        time.sleep(0.01)
    with span("last"):
        step(seconds)
    print(flush_tracing(20.0))


main(float(sys.argv[1]))
