"""Global tracing state, reset for a test and restored after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate

from eco2_tracing._compat.api import forget_global_provider
from eco2_tracing._lifecycle.configure import reset_tracing


@contextmanager
def clean_state() -> Iterator[None]:
    """Run a block without global tracing state, then reset what the block configured.

    Tracing that eco2-tracing configured before the block is reset for good. A global provider or
    propagator of another package is restored.
    """
    reset_tracing()
    textmap = propagate.get_global_textmap()
    restore_provider = forget_global_provider()
    try:
        yield
    finally:
        reset_tracing()
        restore_provider()
        propagate.set_global_textmap(textmap)
