"""What the JSON API returns of traces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from eco2_tracing._view.rows import forest_of, limited

if TYPE_CHECKING:
    from eco2_tracing._view.search import Summary
    from eco2_tracing._view.trace import StoredTrace
    from eco2_tracing.testing import ReceivedSpan

Json = dict[str, object]

_MOST_EVENTS = 256
_MOST_SPANS = 20_000
_MOST_LINES = 10_000
# The integers that JavaScript has exactly.
_LARGEST = 2**53 - 1


def summary_view(summary: Summary) -> Json:
    """Return a row of the list. Nanoseconds since the epoch are a text: JavaScript would round them."""
    made: Json = asdict(summary)
    made["start_ns"] = str(summary.start_ns)
    del made["duration_ns"]
    made["duration_ms"] = summary.duration_ns / 1e6
    return made


def trace_view(trace: StoredTrace) -> Json:
    """Return a trace: its spans with the index of their parent, its log lines, and what is wrong with it."""
    forest = forest_of(trace)
    begin = forest.spans[0].start_ns if forest.spans else 0
    shown = forest.spans[:_MOST_SPANS]
    return {
        "trace_id": trace.trace_id,
        "start_ns": str(begin),
        "spans": [_span(span, up, begin) for span, up in zip(shown, forest.parents, strict=False)],
        "more_spans": len(forest.spans) - len(shown),
        "logs": [_plain(line) for line in trace.lines[:_MOST_LINES]],
        "more_logs": max(len(trace.lines) - _MOST_LINES, 0),
        "remarks": list(forest.remarks),
    }


def _span(span: ReceivedSpan, parent: int, begin: int) -> Json:
    return {
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "parent": parent if 0 <= parent < _MOST_SPANS else None,
        "service": span.service,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "status": span.status.name.lower(),
        "status_description": span.status_description,
        "offset_ms": (span.start_ns - begin) / 1e6,
        "duration_ms": max(span.end_ns - span.start_ns, 0) / 1e6,
        "attributes": _plain(limited(span.attributes)),
        "resource": _plain(limited(span.resource)),
        "events": [
            {
                "name": event.name,
                "offset_ms": (event.time_ns - begin) / 1e6,
                "attributes": _plain(limited(event.attributes)),
            }
            for event in span.events[:_MOST_EVENTS]
        ],
        "more_events": max(len(span.events) - _MOST_EVENTS, 0),
        "links": [
            {
                "trace_id": link.trace_id,
                "span_id": link.span_id,
                "attributes": _plain(limited(link.attributes)),
            }
            for link in span.links[:_MOST_EVENTS]
        ],
        "scope": span.scope,
        "trace_state": span.trace_state,
    }


def _plain(attributes: Mapping[str, object]) -> Json:
    return {key: _value(value) for key, value in attributes.items()}


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_value(each) for each in value]
    if isinstance(value, dict):
        return _plain(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
