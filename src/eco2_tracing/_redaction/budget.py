"""How many characters of one span or one attribute are searched and kept."""

from __future__ import annotations

from eco2_tracing._redaction.truncate import truncate

LONGEST_ATTRIBUTE = 16 * 1024
"""Characters of an attribute that are kept, of all its items together; the rest is cut before anything is searched."""

LONGEST_TEXT = 16 * 1024
"""Characters of a free text that are kept."""

LONGEST_SPAN = 32 * 1024
"""Characters of a span's attributes, events and links that are kept, beside short texts."""

SEARCHES = 12 * 1024
"""What the places in one text may cost that are looked at, in characters: some 220 places."""

PLACE = 56
"""What a place costs where a secret may stand, in characters: searching them takes as long."""

CHEAP = 12
"""What a place costs that one look decides."""

LONGEST_NAME = 1024
"""Characters of a span's, event's or attribute's name that are kept."""

SMALL = 256
"""Texts up to this length are not counted one by one: their number is bounded elsewhere."""

OMITTED = "…"
"""Stands for a text for which nothing is left."""


class Budget:
    """Characters that are left, to be kept and to be searched.

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
        return text if length == len(text) else truncate(text, length)

    def places(self, text: str, mark: str, cost: int) -> str:
        """Return a text, cut before the mark for which nothing is left.

        Args:
            text: Any text.
            mark: Stands at each place that is looked at.
            cost: What one place costs.
        """
        left = self.left
        self.left -= cost * text.count(mark)
        if self.left >= 0:
            return text
        at = text.find(mark)
        while left >= cost:
            left -= cost
            at = text.find(mark, at + len(mark))
        self.left = left
        return text[:at] + OMITTED
