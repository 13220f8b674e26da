"""Opens many traces for figures about them, up to a limit of spans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING

from eco2_tracing._view.rows import Forest, forest_of

if TYPE_CHECKING:
    from eco2_tracing._view.trace import StoredTrace

MOST_SPANS = 20_000


def forests(
    trace_ids: Iterable[str], get: Callable[[str], StoredTrace | None], most_spans: int
) -> Iterator[tuple[str, Forest]]:
    """Yield traces with their trees until they have so many spans; one larger trace is part of them.

    Args:
        trace_ids: Their ids.
        get: Returns a trace, or ``None`` if it was removed.
        most_spans: The limit.
    """
    left = most_spans
    for trace_id in trace_ids:
        trace = get(trace_id)
        if trace is None:
            continue
        yield trace_id, forest_of(trace)
        left -= len(trace.received)
        if left <= 0:
            break


def top_down(children: Sequence[Sequence[int]], parents: Sequence[int]) -> list[int]:
    """Return the indexes of the spans, each after its parent."""
    order = [at for at, up in enumerate(parents) if up < 0]
    for at in order:  # grows meanwhile
        order += children[at]
    return order


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; 0 without values.

    Args:
        values: The values, sorted.
        share: Over 0, up to 1.
    """
    return values[ceil(share * len(values)) - 1] if values else 0.0
