"""The bytes of what is held: a number of spans bounds no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._weights import LIGHT, is_light, lightened, weigh

if TYPE_CHECKING:
    from eco2_tracing.sampling._local_trace import LocalTrace

_SHARES = 8
"""No span has more than one of so many parts of the room."""


class Scales:
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
        if is_light(span):
            return span
        weight = weigh(span)
        if weight <= LIGHT:
            return span
        kept = min(weight, self._left, self._room // _SHARES)
        if kept > LIGHT:
            self._left -= kept
            local.heavy += kept
        return span if kept == weight else lightened(span, max(kept, LIGHT))

    def clear(self, local: LocalTrace) -> None:
        """Count nothing any more of what a local trace held."""
        self._left += local.heavy
        local.heavy = 0
