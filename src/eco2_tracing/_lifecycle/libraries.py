"""The library instrumentations that a configuration switches on and off."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.client.httpx import instrument_httpx, uninstrument_httpx
from eco2_tracing._instrumentation.common.state import current
from eco2_tracing._instrumentation.contrib import switch
from eco2_tracing._instrumentation.instrument import instrument_libraries, uninstrument_libraries

if TYPE_CHECKING:
    from eco2_tracing._settings import Settings


def instrument_by(settings: Settings) -> bool:
    """Instrument httpx and other libraries; return True if contrib's httpx instrumentation keeps client spans."""
    contrib_calls = False
    current.rows, current.sizes = "rows" in settings.capture, "sizes" in settings.capture
    with guarded("switching library instrumentations on"):
        contrib_calls = settings.instrumentation != "contrib" and _contrib_traces_httpx()
        if settings.instrumentation == "contrib":
            switch.instrument_httpx()
        elif contrib_calls:
            switch.patch_httpx()
        else:
            instrument_httpx()
        instrument_libraries(more=settings.instrumentations, disabled=settings.disabled_instrumentations)
    return contrib_calls


def _contrib_traces_httpx() -> bool:
    module = sys.modules.get("opentelemetry.instrumentation.httpx")
    names = ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor")
    classes = [getattr(module, name, None) for name in names]
    return any(found is not None and found().is_instrumented_by_opentelemetry for found in classes)


def uninstrument_by(settings: Settings) -> None:
    """Undo ``instrument_by``."""
    current.rows = current.sizes = False
    with guarded("switching library instrumentations off"):
        uninstrument_httpx()
        if settings.instrumentation == "contrib":
            switch.uninstrument_httpx()
        uninstrument_libraries()
