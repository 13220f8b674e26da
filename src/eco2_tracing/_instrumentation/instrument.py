"""The registry of library instrumentations: databases, gRPC, messaging clients and others."""

from __future__ import annotations

from eco2_tracing._instrumentation.libraries.registry import ADJUSTMENTS, LibraryRegistry
from eco2_tracing._instrumentation.messaging import MESSAGING
from eco2_tracing._native import RLock

_registry = LibraryRegistry(RLock(), {**ADJUSTMENTS, **MESSAGING})
instrument_libraries = _registry.instrument
uninstrument_libraries = _registry.uninstrument
