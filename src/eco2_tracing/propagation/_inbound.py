"""What a request's headers said, and how it stands in an OpenTelemetry context."""

from __future__ import annotations

from collections.abc import Mapping
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
# The API keeps its keys private: what it stores under them tells which they are.
SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))
BAGGAGE_KEY = next(iter(baggage_api.set_baggage("key", "value", Context())))

FLAGS = tuple(TraceFlags(value) for value in range(4))
NO_STATE = TraceState.get_default()


class Inbound:
    """What the headers of one request said.

    Attributes:
        trace_id: The caller's trace; 0 where no valid ids came in.
        span_id: The caller's span; 0 where no valid ids came in.
        sampled: The caller's decision; ``None`` where it left it to us or said nothing.
        debug: Whether the caller asked for debug (which implies sampled).
        denied: Whether the decision is a bare deny, one without ids of its own.
        random: ``0x02`` where the trace id is flagged as random (W3C level 2), else 0.
        trace_state: The trace's vendor list, where one came in.
        baggage: Names and values, where any came in.
        baggage_headers: The ``baggage`` headers as they came, joined with commas.
        request_id: The ``x-request-id``, where a sound one came in.
        refused_request_id: The ``x-request-id`` that came in and is not sent on: an unsound one, or a stranger's.
        link: The context of a caller that is not trusted; its ids are not continued.
        extras: What other propagators put into the context, by context key.
        refused: Whether the caller decided against sampling, and said nothing beside ids and a request id.
    """

    trace_id = 0
    span_id = 0
    sampled: bool | None = None
    debug = False
    denied = False
    random = 0
    trace_state: TraceState | None = None
    baggage: Mapping[str, object] | None = None
    baggage_headers: bytes | None = None
    request_id: bytes | None = None
    refused_request_id: bytes | None = None
    link: SpanContext | None = None
    extras: Mapping[str, object] | None = None
    refused = False

    def __init__(
        self,
        trace_id: int = 0,
        span_id: int = 0,
        sampled: bool | None = None,
        debug: bool = False,
        denied: bool = False,
        random: int = 0,
        trace_state: TraceState | None = None,
        baggage: Mapping[str, object] | None = None,
        baggage_headers: bytes | None = None,
        request_id: bytes | None = None,
        link: SpanContext | None = None,
        extras: Mapping[str, object] | None = None,
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.debug = debug
        self.denied = denied
        self.random = random
        self.trace_state = trace_state
        self.baggage = baggage
        self.baggage_headers = baggage_headers
        self.request_id = request_id
        self.link = link
        self.extras = extras

    @property
    def deferred(self) -> bool:
        """Whether the caller's trace came without a decision."""
        return self.sampled is None and self.trace_id != 0

    def span_context(self) -> SpanContext | None:
        """Build the caller's span context, as a remote one; ``None`` without valid ids."""
        if not self.trace_id:
            return None
        return remote_span_context(
            self.trace_id,
            self.span_id,
            (1 if self.sampled else 0) | self.random,
            self.trace_state,
        )

    def unsampled(self) -> Inbound:
        """Copy, as for an excluded request: the caller's context, denied."""
        copy = Inbound(
            self.trace_id,
            self.span_id,
            False,
            False,
            True,
            self.random,
            self.trace_state,
            self.baggage,
            self.baggage_headers,
            self.request_id,
            self.link,
            self.extras,
        )
        if self.refused_request_id is not None:
            copy.refused_request_id = self.refused_request_id
        return copy

    def __repr__(self) -> str:
        # Baggage and request ids are the caller's data: they stay out.
        return (
            f"Inbound(trace_id={self.trace_id:032x}, span_id={self.span_id:016x},"
            f" sampled={self.sampled}, debug={self.debug}, denied={self.denied})"
        )


class UsualInbound(Inbound):
    """What nearly all requests behind Envoy say: ids, a decision and perhaps a request id.

    Args:
        trace_id: The caller's trace.
        span_id: The caller's span.
        sampled: The caller's decision.
        request_id: The ``x-request-id``, where a sound one came in.
    """

    def __init__(self, trace_id: int, span_id: int, sampled: bool, request_id: bytes | None) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.refused = not sampled
        self.request_id = request_id


def inbound_of(context: Context) -> Inbound | None:
    """Give what the headers said that this context descends from.

    Args:
        context: A context; that of a request or of anything begun inside it.

    Returns:
        The same object that ``Propagation.context`` was given, or ``None``.
    """
    return cast("Inbound | None", context.get(INBOUND_KEY))


def remote_span_context(
    trace_id: int, span_id: int, flags: int, trace_state: TraceState | None
) -> SpanContext:
    """Build the context of a span in another process; the ids are valid."""
    return SpanContext(
        trace_id, span_id, True, FLAGS[flags], NO_STATE if trace_state is None else trace_state
    )


def context_of(inbound: Inbound, base: Context | None) -> Context:
    """Put what came in on top of a context."""
    values: dict[str, object] = {} if base is None else dict(base)
    if inbound.extras:
        values.update(inbound.extras)
    values[INBOUND_KEY] = inbound
    span_context = inbound.span_context()
    if span_context is not None:
        values[SPAN_KEY] = NonRecordingSpan(span_context)
    if inbound.baggage is not None:
        # The API's own readers copy a dict before they change it.
        values[BAGGAGE_KEY] = inbound.baggage
    return Context(values)
