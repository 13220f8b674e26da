"""Global tracing state, taken away for a test and put back after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate

from eco2_tracing._compat.api import forget_global_provider
from eco2_tracing._lifecycle.configure import reset_tracing


@contextmanager
def clean_state() -> Iterator[None]:
    """Run a block as in a process that has not set up tracing, then undo what it set up.

    What eco2-tracing had set up before is undone for good; another provider or propagator
    that was installed globally is put back.
    """
    reset_tracing()
    textmap = propagate.get_global_textmap()
    put_back = forget_global_provider()
    try:
        yield
    finally:
        reset_tracing()
        put_back()
        propagate.set_global_textmap(textmap)
