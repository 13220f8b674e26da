"""The context that was extracted from a request, and its place in an OpenTelemetry context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from opentelemetry import baggage as baggage_api
from opentelemetry.context import Context, create_key
from opentelemetry.trace import (
    INVALID_SPAN,
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

INBOUND_KEY = create_key("eco2-inbound")
# The API does not publish its keys. They are the keys of a context in which it has stored something.
SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
BAGGAGE_KEY = next(iter(baggage_api.set_baggage("key", "value", Context())))

FLAGS = tuple(TraceFlags(value) for value in range(4))
NO_STATE = TraceState.get_default()


@dataclass(eq=False, repr=False)
class Inbound:
    """Trace context, baggage and request id of one inbound request.

    Attributes:
        trace_id: The caller's trace id; 0 if the headers have no valid ids.
        span_id: The caller's span id; 0 if the headers have no valid ids.
        sampled: The caller's decision; ``None`` if it is deferred or absent.
        debug: True if the caller requests debug, which implies sampled.
        denied: True for a bare deny: a decision not to sample, without ids.
        random: ``0x02`` if the trace id is flagged as random (W3C level 2), else 0.
        trace_state: The ``tracestate``, if it is valid.
        baggage: Names and values of the baggage, if there is any and ``baggage`` is a propagator in use.
        baggage_headers: The values of the ``baggage`` headers, joined with commas.
        request_id: The ``x-request-id``, if it is valid and the caller is trusted.
        link: The context of a caller that is not trusted. The new trace links to it.
        extras: What other propagators stored in the context, by context key.
        refused_request_id: The ``x-request-id`` that is not sent on: invalid, or of a caller that is not trusted.
        refused: True if the caller decided not to sample and sent nothing but ids and a request id.
    """

    trace_id: int = 0
    span_id: int = 0
    sampled: bool | None = None
    debug: bool = False
    denied: bool = False
    random: int = 0
    trace_state: TraceState | None = None
    baggage: Mapping[str, object] | None = None
    baggage_headers: bytes | None = None
    request_id: bytes | None = None
    link: SpanContext | None = None
    extras: Mapping[str, object] | None = None
    refused_request_id: bytes | None = None
    refused: bool = False

    @property
    def deferred(self) -> bool:
        """True if the headers have ids and no decision."""
        return self.sampled is None and self.trace_id != 0

    def span_context(self) -> SpanContext | None:
        """Return the caller's span context, a remote one; ``None`` without valid ids."""
        if not self.trace_id:
            return None
        flags = (1 if self.sampled else 0) | self.random
        state = NO_STATE if self.trace_state is None else self.trace_state
        return SpanContext(self.trace_id, self.span_id, True, FLAGS[flags], state)

    def unsampled(self) -> Inbound:
        """Return a copy that is denied, for an excluded request."""
        return Inbound(**{**vars(self), "sampled": False, "debug": False, "denied": True, "refused": False})

    def __repr__(self) -> str:
        # Baggage and request ids may be personal data.
        return (
            f"Inbound(trace_id={self.trace_id:032x}, span_id={self.span_id:016x},"
            f" sampled={self.sampled}, debug={self.debug}, denied={self.denied})"
        )


def inbound_of(context: Context) -> Inbound | None:
    """Return the extracted context of the request to which an OpenTelemetry context belongs.

    Args:
        context: The context of a request, or one derived from it.

    Returns:
        The same object that was passed to ``Propagation.context``; ``None`` outside of requests.
    """
    return cast("Inbound | None", context.get(INBOUND_KEY))


def context_of(inbound: Inbound, base: Context | None) -> Context:
    """Return a context with the extracted one added to ``base``."""
    values: dict[str, object] = {} if base is None else dict(base)
    if inbound.extras:
        values.update(inbound.extras)
    values[INBOUND_KEY] = inbound
    span_context = inbound.span_context()
    if span_context is not None:
        values[SPAN_KEY] = NonRecordingSpan(span_context)
    if inbound.baggage is not None:
        # No copy is needed: the functions of the API copy the dictionary before they change it.
        values[BAGGAGE_KEY] = inbound.baggage
    return Context(values)
