"""Which spans of a large local trace are let go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eco2_tracing.sampling._tail.local_trace import is_failure

_PARTS = 8


def cut(held: list[Any], live: Iterable[Any]) -> list[Any]:
    """Choose what is still held of a local trace that holds too much.

    The oldest go, an eighth at once so that the work is not done for every span. Failed spans stay
    and so do the ancestors of failed spans and of spans that are still open: what is kept
    in the end is one tree. Where all are such, the oldest go all the same.

    Args:
        held: The ended spans, in the order in which they ended.
        live: The spans that have not ended.

    Returns:
        The spans that stay, in the same order.
    """
    surplus = max(1, len(held) // _PARTS)
    parents = {span._context.span_id: _parent_of(span) for span in held}
    needed: set[int] = set()
    for span in held:
        if is_failure(span):
            _need(span._context.span_id, parents, needed)
    for span in live:
        _need(_parent_of(span), parents, needed)
    kept = []
    for span in held:
        if surplus and span._context.span_id not in needed:
            surplus -= 1
        else:
            kept.append(span)
    return kept[surplus:]


def _parent_of(span: Any) -> int:
    parent = span._parent
    return parent.span_id if parent is not None else 0


def _need(span_id: int, parents: dict[int, int], needed: set[int]) -> None:
    while span_id in parents and span_id not in needed:
        needed.add(span_id)
        span_id = parents[span_id]
