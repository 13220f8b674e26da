"""The application without any tracing: no provider is configured, so that FastAPI's own telemetry is idle."""

from __future__ import annotations

from benchmarks.peers import Sink, Tracing, Variant

PACKAGES: tuple[str, ...] = ()


def environment(variant: Variant, sink: Sink) -> dict[str, str]:
    return {}


def set_up(variant: Variant) -> Tracing:
    return Tracing()
