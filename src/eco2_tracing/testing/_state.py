"""Global tracing state, taken away for a test and put back after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.util._once import Once

from eco2_tracing._lifecycle._configure import reset_tracing


@contextmanager
def clean_state() -> Iterator[None]:
    """Run a block as in a process that has not set up tracing, then undo what it set up.

    What eco2-tracing had set up before is undone for good; another provider or propagator
    that was installed globally is put back.
    """
    reset_tracing()
    # OpenTelemetry lets a provider be set once in a process and offers no way back but these.
    before = (trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE, propagate.get_global_textmap())
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE = Once()
    try:
        yield
    finally:
        reset_tracing()
        trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE, textmap = before
        propagate.set_global_textmap(textmap)
