"""Encodes one span as an OTLP ``Span``.

Source: opentelemetry/proto/trace/v1/trace.proto
"""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING

from eco2_tracing._protobuf import block, utf8, varint
from eco2_tracing._readable_span import plain

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, SpanContext, Status

    from eco2_tracing._export.otlp.values import ValueEncoder

_DESCRIPTION_LIMIT = 4096
_ATTRIBUTES_OF_REPAIRED = 128
_EVENTS_OF_REPAIRED = 32

_KIND = tuple(b"\x30" + varint(kind + 1) for kind in range(5))
# Span.flags (16, fixed32) and Link.flags (6, fixed32): local, remote; bit 8 says that bit 9, "is remote", is known.
_FLAGS = (b"\x85\x01" + struct.pack("<I", 0x100), b"\x85\x01" + struct.pack("<I", 0x300))
_LINK_FLAGS = (b"\x35" + struct.pack("<I", 0x100), b"\x35" + struct.pack("<I", 0x300))
_STATUS = (b"\x7a\x00", b"\x7a\x02\x18\x01", b"\x7a\x02\x18\x02")
_times = struct.Struct("<BQBQ").pack
_event_time = struct.Struct("<BQ").pack


def span_body(span: ReadableSpan, values: ValueEncoder) -> bytes:
    """Encode a whole span.

    Raises:
        Exception: A value has a type or size that OTLP does not allow.
    """
    context = span.context
    name = values.text(span.name)
    size = len(name)
    out = [
        b"\x0a\x10",
        context.trace_id.to_bytes(16, "big"),
        b"\x12\x08",
        context.span_id.to_bytes(8, "big"),
        b"\x2a%c" % size if size < 128 else b"\x2a" + varint(size),
        name,
        _KIND[span.kind.value],
        _times(0x39, span.start_time or 0, 0x41, span.end_time or 0),
    ]
    _ancestry(context, span.parent, out)
    found = plain(span.attributes)
    if found:
        values.attributes(b"\x4a", found, out)
    _dropped(b"\x50", span.dropped_attributes, out)
    out.append(_status(span.status))
    for event in span.events:
        out.append(block(b"\x5a", _event(event, values)))
    for link in span.links:
        out.append(block(b"\x6a", _link(link, values)))
    _dropped(b"\x60", span.dropped_events, out)
    _dropped(b"\x70", span.dropped_links, out)
    return b"".join(out)


def repaired_body(span: ReadableSpan, values: ValueEncoder, *, bare: bool) -> bytes:
    """Encode the valid parts of a span that is too large or holds invalid values.

    Args:
        span: An ended span.
        values: Encodes its attributes, with small limits.
        bare: Leave out attributes, events and links.

    Raises:
        Exception: Ids, kind or status are invalid.
    """
    context, parent = span.context, span.parent
    out = [
        b"\x0a\x10" + context.trace_id.to_bytes(16, "big"),
        b"\x12\x08" + context.span_id.to_bytes(8, "big"),
        block(b"\x2a", values.as_text(span.name)),
        _KIND[span.kind.value],
        _times(0x39, _clamped(span.start_time), 0x41, _clamped(span.end_time)),
        b"\x22\x08" + parent.span_id.to_bytes(8, "big") if parent else b"",
        _FLAGS[bool(parent and parent.is_remote)],
    ]
    code, description = span.status.status_code.value, span.status.description
    text = block(b"\x12", values.as_text(description)) if description else b""
    out.append(block(b"\x7a", text + b"\x18%c" % code))
    attributes = span.attributes or {}
    if bare:
        out.append(b"\x50" + varint(len(attributes)))
        return b"".join(out)
    values.attributes(b"\x4a", dict(islice(attributes.items(), _ATTRIBUTES_OF_REPAIRED)), out)
    for event in span.events[-_EVENTS_OF_REPAIRED:]:
        body: list[bytes] = [
            _event_time(0x09, _clamped(event.timestamp)),
            block(b"\x12", values.as_text(event.name)),
        ]
        values.attributes(
            b"\x1a", dict(islice((event.attributes or {}).items(), _ATTRIBUTES_OF_REPAIRED)), body
        )
        out.append(block(b"\x5a", b"".join(body)))
    return b"".join(out)


def _ancestry(context: SpanContext, parent: SpanContext | None, out: list[bytes]) -> None:
    if context.trace_state:
        out.append(block(b"\x1a", utf8(context.trace_state.to_header())))
    if parent is None:
        out.append(_FLAGS[0])
        return
    out.append(b"\x22\x08")
    out.append(parent.span_id.to_bytes(8, "big"))
    out.append(_FLAGS[parent.is_remote])


def _status(status: Status | None) -> bytes:
    if status is None:
        return b""
    code, description = status.status_code.value, status.description
    if not description:
        return _STATUS[code]
    text = block(b"\x12", utf8(description[:_DESCRIPTION_LIMIT]))
    return block(b"\x7a", text + (b"\x18%c" % code if code else b""))


def _event(event: Event, values: ValueEncoder) -> bytes:
    out = [_event_time(0x09, event.timestamp), block(b"\x12", values.text(event.name))]
    values.attributes(b"\x1a", plain(event.attributes) or {}, out)
    if event.dropped_attributes:
        out.append(b"\x20" + varint(event.dropped_attributes))
    return b"".join(out)


def _link(link: Link, values: ValueEncoder) -> bytes:
    context = link.context
    out = [
        b"\x0a\x10" + context.trace_id.to_bytes(16, "big"),
        b"\x12\x08" + context.span_id.to_bytes(8, "big"),
        _LINK_FLAGS[context.is_remote],
    ]
    if context.trace_state:
        out.append(block(b"\x1a", utf8(context.trace_state.to_header())))
    values.attributes(b"\x22", plain(link.attributes) or {}, out)
    if link.dropped_attributes:
        out.append(b"\x28" + varint(link.dropped_attributes))
    return b"".join(out)


def _dropped(tag: bytes, dropped: int, out: list[bytes]) -> None:
    if dropped:
        out.append(tag + varint(dropped))


def _clamped(time_ns: object) -> int:
    if not isinstance(time_ns, int | float) or not 0 <= time_ns < 1 << 64:
        return 0
    return int(time_ns)
