"""From a span context to header pairs: the hot path of every outgoing call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext

from . import _names
from ._adapters import Adapter
from ._baggage import write_baggage
from ._inbound import BAGGAGE_KEY, INBOUND_KEY, Inbound
from ._tracestate import write_tracestate

Pairs = list[tuple[bytes, bytes]]

_SAMPLED = (_names.B3_SAMPLED, b"1")
_NOT_SAMPLED = (_names.B3_SAMPLED, b"0")
_DEBUG = (_names.B3_FLAGS, b"1")  # implies accept, so that X-B3-Sampled is not sent with it
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

    __slots__ = ("_adapters", "_b3", "_baggage", "_externally", "_request_id", "_strip", "_w3c")

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
        self._externally = externally
        fields = frozenset[bytes]().union(*(adapter.fields for adapter in adapters))
        self._strip = _names.TRACE_HEADERS | fields - {_names.BAGGAGE, _names.REQUEST_ID}

    @property
    def stripped(self) -> frozenset[bytes]:
        """The names of the headers that each attempt loses first."""
        return self._strip

    def write(self, span_context: SpanContext, context: Context, own: bool) -> Pairs:
        """Format the headers of one attempt."""
        if not own and not self._externally:
            return []
        pairs: Pairs = []
        inbound = cast("Inbound | None", context.get(INBOUND_KEY))
        # Unpacking spares six property calls.
        trace_id, span_id, remote, flags, state, valid = span_context
        if valid:
            trace_text = b"%032x" % trace_id
            span_text = b"%016x" % span_id
            if self._b3:
                pairs.append((_names.B3_TRACE_ID, trace_text))
                pairs.append((_names.B3_SPAN_ID, span_text))
                if flags & 1:
                    pairs.append(_DEBUG if inbound is not None and inbound.debug else _SAMPLED)
                elif not (remote and inbound is not None and inbound.sampled is None):
                    pairs.append(_NOT_SAMPLED)
            if self._w3c:
                end = _TRACEPARENT_ENDS[flags & 3]
                pairs.append((_names.TRACEPARENT, b"00-%b-%b-%b" % (trace_text, span_text, end)))
                if state and own:
                    pairs.append((_names.TRACESTATE, write_tracestate(state)))
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
                pairs.append((_names.REQUEST_ID, inbound.request_id))
        return pairs

    def rewrite(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        span_context: SpanContext,
        context: Context,
        own: bool,
    ) -> Pairs:
        """Take what an attempt came with off it, and put ours on."""
        inherited = self._inherited(context)
        kept: Pairs = []
        own_names: set[bytes] = set()
        for pair in headers:
            name = pair[0].lower()
            if name in self._strip or (self._adapters and name.startswith(_VENDOR_BAGGAGE)):
                continue
            if name in inherited:
                if pair[1] in inherited[name]:
                    continue
                own_names.add(name)
            kept.append(pair)
        ours = self.write(span_context, context, own)
        kept.extend(pair for pair in ours if pair[0] not in own_names)
        return kept

    def _inherited(self, context: Context) -> Mapping[bytes, Sequence[bytes]]:
        """Give the values by which an inherited ``baggage`` or ``x-request-id`` is known."""
        inbound = cast("Inbound | None", context.get(INBOUND_KEY))
        written = [value for _, value in _baggage_pair(context.get(BAGGAGE_KEY))]
        if inbound is None:
            return {_names.BAGGAGE: written, _names.REQUEST_ID: ()}
        received = () if inbound.baggage_headers is None else (inbound.baggage_headers,)
        request_ids = () if inbound.request_id is None else (inbound.request_id,)
        return {_names.BAGGAGE: (*written, *received), _names.REQUEST_ID: request_ids}


_VENDOR_BAGGAGE = _names.VENDOR_BAGGAGE_PREFIXES


def _bare_decision(inbound: Inbound) -> Pairs:
    """Forward a decision that came without ids."""
    if inbound.sampled is None:
        return []
    if inbound.debug:
        return [_DEBUG]
    return [_SAMPLED if inbound.sampled else _NOT_SAMPLED]


def _baggage_pair(baggage: object) -> Pairs:
    """Format the baggage of a context, where there is any."""
    value = write_baggage(baggage) if isinstance(baggage, Mapping) else b""
    return [(_names.BAGGAGE, value)] if value else []
