"""How many characters of one span or one attribute are searched and kept."""

from __future__ import annotations

from eco2_tracing._redaction.cut import cut

LONGEST_ATTRIBUTE = 16 * 1024
"""Characters of an attribute that are kept, of all its items together; the rest is cut before anything is searched."""

LONGEST_TEXT = 32 * 1024
"""Characters of a free text that are kept."""

LONGEST_SPAN = 128 * 1024
"""Characters of a span's attributes, events and links that are kept, beside short texts."""

LONGEST_NAME = 1024
"""Characters of a span's, event's or attribute's name that are kept."""

SMALL = 256
"""Texts up to this length are not counted one by one: their number is bounded elsewhere."""

OMITTED = "…"
"""Stands for a text for which nothing is left."""


class Budget:
    """Characters that are left.

    Args:
        left: How many there are.
    """

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def text(self, text: str, limit: int) -> str:
        """Return a text, cut to a limit and to what is left.

        Args:
            text: Any text.
            limit: Its greatest length.
        """
        length = len(text)
        length = min(length, limit)
        length = min(length, self.left)
        self.left -= length
        if length <= 0 and text:
            return OMITTED
        return text if length == len(text) else cut(text, length)
