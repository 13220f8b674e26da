"""The limits of buffered spans: bytes of all local traces, and the number of spans of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from eco2_tracing._span_size import SMALL, is_small, pruned_span, span_size
from eco2_tracing.sampling._tail.local_trace import is_failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eco2_tracing.sampling._tail.local_trace import LocalSpan, LocalTrace

_SPAN_SHARE = 8
_PRUNED_SHARE = 8


class MemoryLimiter:
    """Counts the bytes of large buffered spans, and prunes a span that exceeds what is left. Not thread-safe.

    Args:
        room: Bytes for all large spans; one span gets at most an eighth. Spans of a few KiB are limited by number.
    """

    __slots__ = ("_left", "_room")

    def __init__(self, room: int) -> None:
        self._room = room
        self._left = room

    def put(self, local: LocalTrace, span: LocalSpan) -> LocalSpan:
        """Count an ended span that is about to be buffered.

        Args:
            local: The local trace that buffers it.
            span: The span.

        Returns:
            The span, or a copy that is pruned to the bytes that are left.
        """
        readable: Any = span  # a `ReadableSpan` as well
        if is_small(readable):
            return span
        size = span_size(readable)
        if size <= SMALL:
            return span
        kept = min(size, self._left, self._room // _SPAN_SHARE)
        if kept > SMALL:
            self._left -= kept
            local.heavy += kept
        return span if kept == size else cast("LocalSpan", pruned_span(readable, max(kept, SMALL)))

    def clear(self, local: LocalTrace) -> None:
        """Release the bytes that are counted for a local trace."""
        self._left += local.heavy
        local.heavy = 0


def prune(held: list[LocalSpan], live: Iterable[LocalSpan]) -> list[LocalSpan]:
    """Drop an eighth of the buffered spans of one local trace.

    The oldest are dropped first. An eighth at once avoids the work at every further span. Failed spans stay, and the
    ancestors of failed and of open spans, so that a kept local trace is one tree. If all spans are such, the
    oldest are dropped all the same.

    Args:
        held: The ended spans, in the order of their ends.
        live: The spans that have not ended.

    Returns:
        The remaining spans, in the same order.
    """
    surplus = max(1, len(held) // _PRUNED_SHARE)
    parents = {span._context.span_id: _parent_id(span) for span in held}
    needed: set[int] = set()
    for span in held:
        if is_failure(span):
            _add_ancestors(span._context.span_id, parents, needed)
    for span in live:
        _add_ancestors(_parent_id(span), parents, needed)
    kept = []
    for span in held:
        if surplus and span._context.span_id not in needed:
            surplus -= 1
        else:
            kept.append(span)
    return kept[surplus:]


def _parent_id(span: LocalSpan) -> int:
    return span._parent.span_id if span._parent is not None else 0


def _add_ancestors(span_id: int, parents: dict[int, int], needed: set[int]) -> None:
    while span_id in parents and span_id not in needed:
        needed.add(span_id)
        span_id = parents[span_id]
