"""Requests that cannot be kept. Their ids, for log lines and outgoing calls, are created on demand."""

from __future__ import annotations

import os
from time import perf_counter_ns
from typing import TYPE_CHECKING

from opentelemetry.trace import NonRecordingSpan, SpanContext, get_current_span

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.common.served_request import ServedRequest, store_ids
from eco2_tracing._spans.read_side import creation
from eco2_tracing.propagation._inbound import FLAGS, NO_STATE

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.asgi import Scope, Send
    from eco2_tracing._spans.tracer import SpanFactory
    from eco2_tracing.propagation import Inbound


def unsampled_context(factory: SpanFactory, inbound: Inbound) -> SpanContext:
    """Return the context of a new span in the upstream's trace, not sampled.

    Args:
        factory: Generates the span id.
        inbound: The extracted context; it has ids.
    """
    state = inbound.trace_state
    return SpanContext(
        inbound.trace_id,
        factory.new_span_id(),
        False,
        FLAGS[inbound.random],
        NO_STATE if state is None else state,
    )


class UnrecordedSpan(NonRecordingSpan):
    """A non-recording span with its own span id.

    Args:
        factory: Generates the span id.
        inbound: The extracted context.
        context: The span's context; ``None`` to create it on demand in the upstream's trace.
    """

    def __init__(self, factory: SpanFactory, inbound: Inbound, context: SpanContext | None = None) -> None:
        self._factory = factory
        self._inbound = inbound
        self._span_context = context

    def get_span_context(self) -> SpanContext:
        """Return the span's context, the same one for all threads."""
        context = self._span_context
        if context is None:
            with creation.lock:
                context = self._span_context
                if context is None:
                    context = self._span_context = unsampled_context(self._factory, self._inbound)
        return context

    def __repr__(self) -> str:
        return f"UnrecordedSpan({self.get_span_context()!r})"


class UnrecordedRequest(ServedRequest):
    """A request with an `UnrecordedSpan`.

    Args:
        scope: The ASGI scope.
        send: The server's ``send``.
        span: The span.
        trace_id_header: A response header that carries the trace id; ``None`` for none.
    """

    def __init__(
        self,
        scope: Scope,
        send: Send,
        span: UnrecordedSpan,
        trace_id_header: tuple[bytes, bytes] | None = None,
    ) -> None:
        # The constructor of the base class is inlined, because a call costs time in each request.
        self.scope = scope
        self.started = perf_counter_ns()
        self._send = send
        self._trace_id_header = trace_id_header
        self._span = span

    def failed(self, exception: BaseException) -> None:
        """Store the ids on the exception for the server's log line."""
        with guarded("the exception of a request"):
            context = self._span.get_span_context()
            store_ids(exception, context.trace_id, context.span_id)


def _create_ids() -> None:
    """Create the ids of the current request before a fork, so that both processes have the same."""
    get_current_span().get_span_context()


os.register_at_fork(before=_create_ids)
