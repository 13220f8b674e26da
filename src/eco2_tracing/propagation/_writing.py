"""From a span context to header pairs: the hot path of every outgoing call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from ._baggage import combine_baggage, merge_baggage, write_baggage
from ._inbound import BAGGAGE_KEY, INBOUND_KEY, Inbound
from ._names import (
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
from ._tracestate import write_tracestate

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

    from ._adapters import Adapter

Pairs = list[tuple[bytes, bytes]]

_SAMPLED = (B3_SAMPLED, b"1")
_NOT_SAMPLED = (B3_SAMPLED, b"0")
_DEBUG = (B3_FLAGS, b"1")  # implies accept, so that X-B3-Sampled is not sent with it
_MAYBE_INHERITED = (BAGGAGE, REQUEST_ID)
_TRACEPARENT_ENDS = (b"00", b"01", b"02", b"03")  # by the flags that are known


class Writer:
    """Writes headers.

    Args:
        b3: Whether ``X-B3-*`` is written.
        w3c: Whether ``traceparent`` and ``tracestate`` are written.
        baggage: Whether baggage is written.
        request_id: Whether the caller's ``x-request-id`` is written.
        adapters: Other propagators that write as well.
        externally: Whether hosts that are not our own get anything.
    """

    __slots__ = ("_adapters", "_b3", "_baggage", "_request_id", "_strip", "_w3c", "externally")

    def __init__(
        self,
        *,
        b3: bool,
        w3c: bool,
        baggage: bool,
        request_id: bool,
        adapters: Sequence[Adapter],
        externally: bool,
    ) -> None:
        self._b3 = b3
        self._w3c = w3c
        self._baggage = baggage
        self._request_id = request_id
        self._adapters = tuple(adapters)
        self.externally = externally
        fields = frozenset[bytes]().union(*(adapter.fields for adapter in adapters))
        self._strip = TRACE_HEADERS | fields - {BAGGAGE, REQUEST_ID}

    @property
    def stripped(self) -> frozenset[bytes]:
        """The names of the headers that each attempt loses first."""
        return self._strip

    def may_replace(self, name: bytes) -> bool:
        """Tell whether ``rewrite`` may take a header off, by its lower-case name."""
        if name in self._strip or name in _MAYBE_INHERITED:
            return True
        return bool(self._adapters) and name.startswith(VENDOR_BAGGAGE_PREFIXES)

    def write(self, span_context: SpanContext, context: Context, own: bool) -> Pairs:
        """Format the headers of one attempt."""
        if not own and not self.externally:
            return []
        pairs: Pairs = []
        inbound = cast("Inbound | None", context.get(INBOUND_KEY))
        # Unpacking spares six property calls.
        trace_id, span_id, remote, flags, state, valid = span_context
        if valid:
            trace_text = b"%032x" % trace_id
            span_text = b"%016x" % span_id
            if self._b3:
                pairs.append((B3_TRACE_ID, trace_text))
                pairs.append((B3_SPAN_ID, span_text))
                if flags & 1:
                    pairs.append(_DEBUG if inbound is not None and inbound.debug else _SAMPLED)
                elif not (remote and inbound is not None and inbound.sampled is None):
                    pairs.append(_NOT_SAMPLED)
            if self._w3c:
                end = _TRACEPARENT_ENDS[flags & 3]
                pairs.append((TRACEPARENT, b"00-%b-%b-%b" % (trace_text, span_text, end)))
                if state and own and (state_text := write_tracestate(state)):
                    pairs.append((TRACESTATE, state_text))
        elif self._b3 and inbound is not None and not inbound.trace_id:
            pairs.extend(_bare_decision(inbound))
        if self._adapters:
            for adapter in self._adapters:
                pairs.extend(adapter.write(span_context, context, own=own))
        if own:
            baggage = self._baggage and context.get(BAGGAGE_KEY)
            if baggage:
                pairs.extend(_baggage_pair(baggage))
            if inbound is not None and inbound.request_id is not None and self._request_id:
                pairs.append((REQUEST_ID, inbound.request_id))
        return pairs

    def rewrite(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        span_context: SpanContext,
        context: Context,
        own: bool,
    ) -> Pairs:
        """Take what an attempt came with off it, and put ours on."""
        kept: Pairs = []
        baggage: Pairs = []
        place = 0
        has_request_id = False
        for pair in headers:
            name = pair[0].lower()
            if name in self._strip or (self._adapters and name.startswith(VENDOR_BAGGAGE_PREFIXES)):
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
        ours = self.write(span_context, context, own)
        if baggage and self._merged(baggage, context, own=False):  # the call has members of its own
            kept[place:place] = self._merged(baggage, context, own)
            ours = [pair for pair in ours if pair[0] != BAGGAGE]
        kept.extend([pair for pair in ours if pair[0] != REQUEST_ID] if has_request_id else ours)
        return kept

    def own_baggage(self, headers: Iterable[tuple[bytes, bytes]], context: Context) -> Pairs:
        """Return the ``baggage`` header that an attempt would have if nothing were inherited, if there is any."""
        found = [pair for pair in headers if pair[0].lower() == BAGGAGE]
        return self._merged(found, context, own=False) if found else []

    def combined_baggage(self, values: Iterable[bytes], context: Context) -> bytes:
        """Combine several ``baggage`` headers of one attempt into the value of one."""
        return combine_baggage(values, _came_in(context))

    def _merged(self, given: Pairs, context: Context, own: bool) -> Pairs:
        """Combine baggage that was set on a call with what the callee may have of the context."""
        inbound = cast("Inbound | None", context.get(INBOUND_KEY))
        came_in = (inbound.baggage_headers if inbound is not None else None) or b""
        inherited = context.get(BAGGAGE_KEY)
        values = [value for _, value in given]
        if not isinstance(inherited, Mapping):
            inherited = {}
        if not (own and self._baggage):
            # Copies of inherited members are recognized by the context's baggage, too.
            came_in = _came_in(context)
            inherited = None
        value = merge_baggage(values, came_in, inherited)
        return [(given[0][0], value)] if value else []


def _came_in(context: Context) -> bytes:
    """Return the baggage of the inbound request and of the context, as one header has it."""
    inbound = cast("Inbound | None", context.get(INBOUND_KEY))
    came_in = (inbound.baggage_headers if inbound is not None else None) or b""
    inherited = context.get(BAGGAGE_KEY)
    written = write_baggage(inherited) if isinstance(inherited, Mapping) else b""
    return b",".join(part for part in (came_in, written) if part)


def _bare_decision(inbound: Inbound) -> Pairs:
    """Forward a decision that came without ids."""
    if inbound.sampled is None:
        return []
    if inbound.debug:
        return [_DEBUG]
    return [_SAMPLED if inbound.sampled else _NOT_SAMPLED]


def _baggage_pair(baggage: object) -> Pairs:
    """Format the baggage of a context, where there is any."""
    value = write_baggage(baggage) if isinstance(baggage, dict) else b""
    return [(BAGGAGE, value)] if value else []


def _is_inherited_id(value: bytes, context: Context) -> bool:
    """Return whether an ``x-request-id`` was copied from the inbound request."""
    inbound = cast("Inbound | None", context.get(INBOUND_KEY))
    return inbound is not None and value in (inbound.request_id, inbound.refused_request_id)
