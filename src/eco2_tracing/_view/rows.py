"""The spans of a stored trace as rows of a tree, whatever their ids say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from eco2_tracing._console.rows import Row

if TYPE_CHECKING:
    from eco2_tracing._view.trace import StoredTrace
    from eco2_tracing.testing import ReceivedSpan

_MOST_ATTRIBUTES = 256
_LONGEST = 16 * 1024
_MOST_TWINS = 8  # spans of one id that are looked at


@dataclass(frozen=True, slots=True)
class Forest:
    """The spans of a trace with parents that make trees.

    Attributes:
        spans: The spans without repetitions, ordered by their start.
        parents: The index of each span's parent; -1 for the top of a tree.
        remarks: What is wrong with the trace, with the number of spans.
    """

    spans: Sequence[ReceivedSpan]
    parents: Sequence[int]
    remarks: Sequence[str]


def forest_of(trace: StoredTrace) -> Forest:
    """Return the trees of a trace. Cycles are cut, and a missing parent makes its child a top."""
    spans = trace.spans
    by_id: dict[str, list[int]] = {}
    for at, span in enumerate(spans):
        twins = by_id.setdefault(span.span_id, [])
        if len(twins) < _MOST_TWINS:
            twins.append(at)
    parents = [_parent(at, spans, by_id) for at in range(len(spans))]
    cycles = _cut_cycles(parents)
    counted = (
        (len(trace.received) - len(spans), "repetitions of spans"),
        (len(spans) - len(by_id), "spans with the id of another"),
        (cycles, "cycles of parents, which are cut"),
        (
            sum(1 for at, span in enumerate(spans) if parents[at] < 0 and span.parent_span_id is not None)
            - cycles,
            "spans whose parent was not received",
        ),
        (max(sum(span.parent_span_id is None for span in spans) - 1, 0), "roots beside the first"),
        (
            sum(1 for at, up in enumerate(parents) if up >= 0 and spans[at].start_ns < spans[up].start_ns),
            "spans that start before their parent, as with clocks that differ",
        ),
        (sum(span.end_ns < span.start_ns for span in spans), "spans that end before their start"),
    )
    return Forest(spans, parents, [f"{text}: {count}" for count, text in counted if count > 0])


def _parent(at: int, spans: Sequence[ReceivedSpan], by_id: Mapping[str, Sequence[int]]) -> int:
    """Return the index of a span's parent, or -1.

    Zipkin's server span may share the id of its client span, and is below it then. The children of a shared id belong
    to the span of their own service.
    """
    span = spans[at]
    if span.kind is SpanKind.SERVER:
        for twin in by_id[span.span_id]:
            if twin != at and spans[twin].kind is SpanKind.CLIENT:
                return twin
    found = [one for one in by_id.get(span.parent_span_id or "", ()) if one != at]
    own = [one for one in found if spans[one].service == span.service]
    return next(iter(own or found), -1)


def _cut_cycles(parents: list[int]) -> int:
    """Make one span of each cycle a top; return the number of cycles."""
    done: set[int] = {-1}
    cycles = 0
    for start in range(len(parents)):
        path: dict[int, None] = {}
        at = start
        while at not in done and at not in path:
            path[at] = None
            at = parents[at]
        if at in path:
            parents[
                min(list(path)[list(path).index(at) :])
            ] = -1  # the earliest: they are ordered by their start
            cycles += 1
        done.update(path)
    return cycles


def rows_of(forest: Forest) -> list[Row]:
    """Return the spans as rows, ordered by their start. Each has an id of its own, and texts of a limited length."""
    ids: list[int] = []
    taken: set[int] = {0}
    for at, span in enumerate(forest.spans):
        number = int(span.span_id, 16)
        ids.append(number if number not in taken else 2**64 + at)
        taken.add(ids[-1])
    several = len({span.service for span in forest.spans}) > 1
    return [
        Row(
            span.name[:_LONGEST],
            span.kind,
            ids[at],
            ids[up] if up >= 0 else 0,
            limited(span.attributes),
            span.start_ns,
            max(span.end_ns, span.start_ns),
            span.is_error,
            span.events[:_MOST_ATTRIBUTES],
            (span.service or "?") if several else "",
        )
        for at, (span, up) in enumerate(zip(forest.spans, forest.parents, strict=True))
    ]


def limited(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return the first attributes, with long texts cut; a last one says how many there are more."""
    made: dict[str, object] = {}
    for count, (key, value) in enumerate(attributes.items()):
        if count == _MOST_ATTRIBUTES:
            made["…"] = f"{len(attributes) - count} more attributes"
            break
        made[key[:_LONGEST]] = (
            f"{value[:_LONGEST]}…" if isinstance(value, str) and len(value) > _LONGEST else value
        )
    return made
