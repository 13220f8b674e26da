"""Injection of trace context into headers: the hot path of every outgoing call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from ._baggage import format_baggage, merge_baggage
from ._formats import (
    B3_FLAGS,
    B3_SAMPLED,
    B3_SPAN_ID,
    B3_TRACE_ID,
    BAGGAGE,
    REQUEST_ID,
    TRACE_HEADERS,
    TRACEPARENT,
    TRACESTATE,
    VENDOR_BAGGAGE_PREFIXES,
)
from ._inbound import BAGGAGE_KEY, INBOUND_KEY, Inbound
from ._tracestate import format_tracestate

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

    from ._adapters import Adapter, Pairs

_SAMPLED = (B3_SAMPLED, b"1")
_NOT_SAMPLED = (B3_SAMPLED, b"0")
_DEBUG = (B3_FLAGS, b"1")  # implies sampled: X-B3-Sampled is not sent with it
_MAYBE_INHERITED = (BAGGAGE, REQUEST_ID)
_TRACEPARENT_ENDS = (b"00", b"01", b"02", b"03")  # by the known flags


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Injector:
    """Injects trace context, baggage and the request id of the inbound request, in the formats in use.

    ``externally`` is true if trace context is injected into calls to external hosts. ``removed`` has the lower-case
    names of the headers that `reinject` always removes.
    """

    b3: bool
    w3c: bool
    baggage: bool
    request_id: bool
    adapters: Sequence[Adapter]
    externally: bool
    removed: frozenset[bytes] = field(init=False)

    def __post_init__(self) -> None:
        fields = frozenset[bytes]().union(*(adapter.fields for adapter in self.adapters))
        self.removed = TRACE_HEADERS | fields - {BAGGAGE, REQUEST_ID}

    def may_remove(self, name: bytes) -> bool:
        """Return True if `reinject` may remove a header of this lower-case name."""
        if name in self.removed or name in _MAYBE_INHERITED:
            return True
        return bool(self.adapters) and name.startswith(VENDOR_BAGGAGE_PREFIXES)

    def inject(self, span_context: SpanContext, context: Context, internal: bool) -> Pairs:
        """Return the headers to add to one attempt."""
        if not internal and not self.externally:
            return []
        pairs: Pairs = []
        inbound = cast("Inbound | None", context.get(INBOUND_KEY))
        # Unpacking the tuple saves six property calls.
        trace_id, span_id, remote, flags, state, valid = span_context
        if valid:
            trace_text = b"%032x" % trace_id
            span_text = b"%016x" % span_id
            if self.b3:
                pairs.append((B3_TRACE_ID, trace_text))
                pairs.append((B3_SPAN_ID, span_text))
                if flags & 1:
                    pairs.append(_DEBUG if inbound is not None and inbound.debug else _SAMPLED)
                elif not (remote and inbound is not None and inbound.sampled is None):
                    pairs.append(_NOT_SAMPLED)
            if self.w3c:
                end = _TRACEPARENT_ENDS[flags & 3]
                pairs.append((TRACEPARENT, b"00-%b-%b-%b" % (trace_text, span_text, end)))
                if state and internal and (state_text := format_tracestate(state)):
                    pairs.append((TRACESTATE, state_text))
        elif self.b3 and inbound is not None and not inbound.trace_id:
            pairs.extend(_bare_decision(inbound))
        if self.adapters:
            for adapter in self.adapters:
                pairs.extend(adapter.inject(span_context, context, internal=internal))
        if internal:
            baggage = self.baggage and context.get(BAGGAGE_KEY)
            if baggage and isinstance(baggage, dict) and (baggage_text := format_baggage(baggage)):
                pairs.append((BAGGAGE, baggage_text))
            if inbound is not None and inbound.request_id is not None and self.request_id:
                pairs.append((REQUEST_ID, inbound.request_id))
        return pairs

    def reinject(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        span_context: SpanContext,
        context: Context,
        internal: bool,
    ) -> Pairs:
        """Return all headers of an attempt, with the trace headers that it has replaced by ours."""
        kept: Pairs = []
        baggage: Pairs = []
        place = 0
        has_request_id = False
        for pair in headers:
            name = pair[0].lower()
            if name in self.removed or (self.adapters and name.startswith(VENDOR_BAGGAGE_PREFIXES)):
                continue
            if name == BAGGAGE:
                place = place if baggage else len(kept)
                baggage.append(pair)
                continue
            if name == REQUEST_ID:
                if _is_inherited_id(pair[1], context):
                    continue
                has_request_id = True
            kept.append(pair)
        injected = self.inject(span_context, context, internal)
        if baggage and self._merged(baggage, context, internal=False):  # the call has members of its own
            kept[place:place] = self._merged(baggage, context, internal)
            injected = [pair for pair in injected if pair[0] != BAGGAGE]
        kept.extend([pair for pair in injected if pair[0] != REQUEST_ID] if has_request_id else injected)
        return kept

    def explicit_baggage(self, headers: Iterable[tuple[bytes, bytes]], context: Context) -> Pairs:
        """Return the baggage that was set on an attempt itself, as one header or none, without inherited members."""
        found = [pair for pair in headers if pair[0].lower() == BAGGAGE]
        return self._merged(found, context, internal=False) if found else []

    def _merged(self, explicit: Pairs, context: Context, internal: bool) -> Pairs:
        """Merge baggage that was set on a call with the members of the context that its host may receive.

        Copies of inherited members are recognized by the baggage of the request and by that of the context.
        """
        inherited = context.get(BAGGAGE_KEY)
        received = inherited if internal and self.baggage and isinstance(inherited, Mapping) else None
        value = merge_baggage([value for _, value in explicit], inherited_baggage(context), received)
        return [(explicit[0][0], value)] if value else []


def inherited_baggage(context: Context) -> bytes:
    """Return the baggage of the inbound request and of the context, joined with commas."""
    inbound = cast("Inbound | None", context.get(INBOUND_KEY))
    received = (inbound.baggage_headers if inbound is not None else None) or b""
    inherited = context.get(BAGGAGE_KEY)
    formatted = format_baggage(inherited) if isinstance(inherited, Mapping) else b""
    return b",".join(part for part in (received, formatted) if part)


def _bare_decision(inbound: Inbound) -> Pairs:
    """Return the header for a decision that was received without ids."""
    if inbound.sampled is None:
        return []
    if inbound.debug:
        return [_DEBUG]
    return [_SAMPLED if inbound.sampled else _NOT_SAMPLED]


def _is_inherited_id(value: bytes, context: Context) -> bool:
    """Return True if an ``x-request-id`` was copied from the inbound request."""
    inbound = cast("Inbound | None", context.get(INBOUND_KEY))
    return inbound is not None and value in (inbound.request_id, inbound.refused_request_id)
