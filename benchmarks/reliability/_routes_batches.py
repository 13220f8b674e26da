"""A batch with one invalid or oversized span."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

INNOCENT = 40


def _huge_message(span: Any) -> None:
    span.record_exception(ValueError("x" * 6_000_000))


def _status(span: Any, text: str) -> None:
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR, text)


def _many(span: Any) -> None:
    for number in range(100):
        span.add_event(f"event {number}", {"text": "x" * 60_000})


BAD: dict[str, Callable[[Any], None]] = {
    "surrogate in the name": lambda span: span.update_name("bad \ud800"),
    "surrogate in a value": lambda span: span.set_attribute("value", "\ud800"),
    "surrogate in a key": lambda span: span.set_attribute("\ud800", 1),
    "surrogate in an event": lambda span: span.add_event("\ud800", {"\ud800": "\ud800"}),
    "surrogate in the status": lambda span: _status(span, "\ud800"),
    "value beyond 64 bits": lambda span: span.set_attribute("value", 2**70),
    "list beyond 64 bits": lambda span: span.set_attribute("value", [1, 2**70]),
    "NaN": lambda span: span.set_attribute("value", float("nan")),
    "value of 6 MB": lambda span: span.set_attribute("value", "x" * 6_000_000),
    "message of 6 MB": _huge_message,
    "status of 6 MB": lambda span: _status(span, "x" * 6_000_000),
    "name of 6 MB": lambda span: span.update_name("bad" + "x" * 6_000_000),
    "100 events of 60 kB": _many,
}


def add(app: Any) -> None:
    """Add the routes."""
    from opentelemetry import trace

    tracer = trace.get_tracer("batches")

    @app.get("/batch")
    async def batch(bad: str) -> dict[str, bool]:
        for number in range(INNOCENT):
            if number == INNOCENT // 2:
                with tracer.start_as_current_span("bad") as span:
                    span.set_attribute("case", bad)
                    BAD[bad](span)
            with tracer.start_as_current_span("innocent") as span:
                span.set_attribute("case", bad)
        return {"fine": True}
