"""The bytes of what is held: a number of spans bounds no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._span_size import SMALL, is_small, pruned_span, span_size

if TYPE_CHECKING:
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

_SHARES = 8
"""No span has more than one of so many parts of the room."""


class MemoryLimiter:
    """Counts the bytes of heavy spans that are held, and makes lighter what finds no room. Not thread-safe.

    Args:
        room: Bytes for all heavy spans; ordinary ones, of a few KiB, are bounded by their number.
    """

    __slots__ = ("_left", "_room")

    def __init__(self, room: int) -> None:
        self._room = room
        self._left = room

    def put(self, local: LocalTrace, span: Any) -> Any:
        """Count an ended span that will be held.

        Args:
            local: The local trace that holds it.
            span: The span.

        Returns:
            The span, or a copy with as much of it as there is room for.
        """
        if is_small(span):
            return span
        weight = span_size(span)
        if weight <= SMALL:
            return span
        kept = min(weight, self._left, self._room // _SHARES)
        if kept > SMALL:
            self._left -= kept
            local.heavy += kept
        return span if kept == weight else pruned_span(span, max(kept, SMALL))

    def clear(self, local: LocalTrace) -> None:
        """Count nothing any more of what a local trace held."""
        self._left += local.heavy
        local.heavy = 0
