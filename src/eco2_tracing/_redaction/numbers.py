"""Finds numbers that are personal data: payment cards and Korean resident registration. It is off by default."""

from __future__ import annotations

import re

CARD, RESIDENT = "card", "resident"
KINDS = (CARD, RESIDENT)
"""The values of `ECO2_TRACING_REDACT_NUMBERS`."""

_PATTERNS = {
    # ISO/IEC 7812: 13 to 19 digits, which may be grouped.
    CARD: re.compile(r"(?<![\w.-])[2-6](?:[ -]?\d){12,18}(?![\w-])"),
    # Birth date, a dash, a digit for sex and century, six more.
    RESIDENT: re.compile(r"(?<![\w-])\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])-[0-9]\d{6}(?![\w-])"),
}


def find_numbers(text: str, kinds: frozenset[str]) -> list[tuple[int, int]]:
    """Return the spans of numbers of the given kinds.

    Args:
        text: Any text.
        kinds: Some of `KINDS`.
    """
    spans: list[tuple[int, int]] = []
    for kind in KINDS:
        if kind in kinds:
            found = _PATTERNS[kind].finditer(text)
            spans += [one.span() for one in found if kind != CARD or _is_card(one[0])]
    return spans


def _is_card(text: str) -> bool:
    """Return True if the last digit of a card number is its checksum by Luhn's algorithm."""
    digits = [int(char) for char in text if char.isdecimal()]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return sum(digits[-1::-2], sum(doubled)) % 10 == 0
