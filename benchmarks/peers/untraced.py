"""The application without any tracing: FastAPI's own telemetry is off, too."""

from __future__ import annotations

from benchmarks.peers import Sink, Tracing, Variant

PACKAGES: tuple[str, ...] = ()


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {}


def set_up(variant: Variant) -> Tracing:
    return Tracing(app_options={"telemetry": {"tracing": False, "metrics": False, "logs": False}})
