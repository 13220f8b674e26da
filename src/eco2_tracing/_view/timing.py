"""Where the time of a trace goes: self times, gaps and the critical path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from eco2_tracing._view.rows import Forest

Interval = tuple[int, int]
"""A start and an end, in nanoseconds since the epoch."""

_GAP_SHARE, _GAP_NS = 0.05, 1_000_000
_ROUNDING_NS = 1_000  # Zipkin has microseconds
_ENTRIES = (SpanKind.SERVER, SpanKind.CONSUMER)


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of the spans of a forest, each list by the index of a span.

    Attributes:
        self_ns: The nanoseconds in which none of its children ran.
        critical: The parts that are on the critical path of the trace.
        gaps: The parts in which none of its children ran, if it has children; short ones are left out.
    """

    self_ns: Sequence[int]
    critical: Sequence[Sequence[Interval]]
    gaps: Sequence[Sequence[Interval]]


def children_of(parents: Sequence[int]) -> list[list[int]]:
    """Return the indexes of each span's children."""
    children: list[list[int]] = [[] for _ in parents]
    for at, up in enumerate(parents):
        if up >= 0:
            children[up].append(at)
    return children


def root_of(forest: Forest) -> int:
    """Return the index of the span that stands for the trace, or -1.

    It is the first span without a parent; without one, the first server's or consumer's whose parent is missing.
    """
    best, best_rank = -1, -1
    for at, (span, up) in enumerate(zip(forest.spans, forest.parents, strict=True)):
        if up < 0:
            rank = 2 if span.parent_span_id is None else int(span.kind in _ENTRIES)
            if rank > best_rank:
                best, best_rank = at, rank
    return best


def timing_of(forest: Forest) -> Timing:
    """Return where the time of a trace goes. It takes O(n log n) for any trace."""
    starts = [span.start_ns for span in forest.spans]
    ends = [max(span.start_ns, span.end_ns) for span in forest.spans]
    children = children_of(forest.parents)
    least = max((max(ends) - min(starts)) * _GAP_SHARE, _GAP_NS) if ends else 0
    self_ns: list[int] = []
    gaps: list[Sequence[Interval]] = []
    for at, below in enumerate(children):
        free = list(_uncovered(starts[at], ends[at], [(starts[one], ends[one]) for one in below]))
        self_ns.append(sum(end - start for start, end in free))
        gaps.append([one for one in free if one[1] - one[0] >= least] if below else ())
    return Timing(self_ns, _critical_path(root_of(forest), starts, ends, children), gaps)


def _uncovered(start: int, end: int, inside: Sequence[Interval]) -> Iterator[Interval]:
    """Yield the parts of an interval that others, which are ordered by their start, do not cover."""
    at = start
    for begin, last in inside:
        if at >= end or begin >= end:
            break
        if begin > at:
            yield at, begin
        at = max(at, last)
    if at < end:
        yield at, end


def _critical_path(
    root: int, starts: Sequence[int], ends: Sequence[int], children: Sequence[Sequence[int]]
) -> list[list[Interval]]:
    """Return the parts of each span that are on the critical path.

    From its end backwards, a span waits for the child that ended last; before that child began, for the one that ended
    last until then. What runs beside is not on the path, nor what goes on after the end of its parent.
    """
    found: list[list[Interval]] = [[] for _ in starts]
    waiting = [(root, starts[root], ends[root])] if root >= 0 else []
    while waiting:
        span, low, high = waiting.pop()
        at = high
        for child in sorted(children[span], key=ends.__getitem__, reverse=True):
            begin, end = max(starts[child], low), min(ends[child], high)
            if end > at + _ROUNDING_NS:
                continue
            end = min(end, at)
            if begin >= end:
                continue
            if end < at:
                found[span].append((end, at))
            waiting.append((child, begin, end))
            at = begin
        if at > low:
            found[span].append((low, at))
        found[span].reverse()
    return found
