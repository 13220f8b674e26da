"""The ids of a request that nobody chose: made when somebody first asks, which for most nobody does."""

from __future__ import annotations

import os
from collections.abc import Callable
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span

from eco2_tracing.logs._request import RequestState
from eco2_tracing.propagation._inbound import FLAGS, NO_STATE

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.state import Recording
    from eco2_tracing.propagation import Inbound

Made = TypeVar("Made")


class Lazily(Generic[Made]):
    """An attribute that is made on first sight, or set before; all threads see the same one.

    Args:
        make: Makes it from the object whose attribute it is.
    """

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Made:
        """Make it; Python asks here only as long as the object has none of its own.

        Raises:
            AttributeError: The class has none.
        """
        if instance is None:
            raise AttributeError(self._name)
        made: Made = instance.__dict__.setdefault(self._name, self._make(instance))
        return made


def own_context(span: Any) -> SpanContext:
    """Make the context of a new span in the caller's trace, not sampled.

    Args:
        span: The server span; it has ``_inbound`` with ids, and ``_recording``.
    """
    inbound: Inbound = span._inbound
    state = inbound.trace_state
    return SpanContext(
        inbound.trace_id,
        span._recording.new_span_id(),
        False,
        FLAGS[inbound.random],
        NO_STATE if state is None else state,
    )


class UnrecordedSpan(NonRecordingSpan, RequestState):
    """Ids for the log lines and calls of a request of which nothing can be kept.

    Args:
        recording: How spans are made.
        inbound: What the request's headers said.
        scope: The ASGI scope.
    """

    _context: Any = Lazily(own_context)

    def __init__(self, recording: Recording, inbound: Inbound, scope: dict[str, Any]) -> None:
        self._recording = recording
        self._inbound = inbound
        self.scope = scope
        self.started = perf_counter_ns()


def _ask() -> None:
    """Make the ids of the request that forks: its parent and child process speak of one span."""
    get_current_span().get_span_context()


os.register_at_fork(before=_ask)
