"""Rewrites expressions of plain text and `.*`, so that their search takes at most quadratic time."""

from __future__ import annotations

import re

LONGEST_URL = 512
"""Number of characters of a URL that are searched."""

_PLAIN = r"\^?(?:[\w/:@%~=&;!-]|\\\W|\.\*\??(?!\.\*))+\$?"


def for_search(expression: str) -> str:
    """Return an expression that `re.search` finds in the same texts.

    In an expression of plain text and ``.*``, each text is searched for once: its first place leaves the most for the
    next text, so no other place is tried (an atomic group). Other expressions are returned as they are.
    """
    if not is_glob(expression):
        return expression
    parts = [part for part in re.split(r"\.\*\??", expression) if part not in ("", "^", "$")]
    if len(parts) < 2:
        return "".join(parts)
    first, *between, last = parts
    return f"{first}{''.join(f'(?>.*?{part})' for part in between)}.*?{last}"


def is_glob(expression: str) -> bool:
    """Return whether an expression consists of plain text and ``.*``."""
    return re.fullmatch(_PLAIN, expression) is not None
