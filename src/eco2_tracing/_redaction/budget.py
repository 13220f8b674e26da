"""Limits the characters of a span or an attribute that are searched and kept."""

from __future__ import annotations

from eco2_tracing._redaction.truncate import truncate

LONGEST_ATTRIBUTE = 16 * 1024
"""Maximum length of an attribute in characters, of all its items together. It is truncated before the search."""

LONGEST_TEXT = 16 * 1024
"""Maximum length of a free text in characters."""

LONGEST_SPAN = 32 * 1024
"""Maximum length of a span's attributes, events and links together, in characters. Short texts are not counted."""

SEARCHES = 12 * 1024
"""The search budget of one text, in characters. It allows about 220 candidates at the cost of `PLACE`."""

PLACE = 56
"""The cost of a candidate, a position where a secret may begin. Searching so many characters takes as long."""

CHEAP = 12
"""The cost of a candidate that a single match rejects, in characters."""

LONGEST_NAME = 1024
"""Maximum length of the name of a span, event or attribute, in characters."""

SMALL = 256
"""Texts up to this length are not counted, because other limits bound their number."""

OMITTED = "…"
"""Replaces text beyond the budget."""


class Budget:
    """A number of characters that may still be kept, or searched.

    Args:
        left: The number of characters.
    """

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def text(self, text: str, limit: int) -> str:
        """Return a text, truncated to a limit and to the budget.

        Args:
            text: Any text.
            limit: Maximum length in characters.
        """
        length = len(text)
        length = min(length, limit)
        length = min(length, self.left)
        self.left -= length
        if length <= 0 and text:
            return OMITTED
        return text if length == len(text) else truncate(text, length)

    def places(self, text: str, mark: str, cost: int) -> str:
        """Return a text, truncated before the first candidate beyond the budget.

        Args:
            text: Any text.
            mark: The text at which each candidate begins.
            cost: The cost of a candidate in characters.
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
