"""Expressions that are plain text and `.*`, written so that a search for them takes no longer than the text squared."""

from __future__ import annotations

import re

LONGEST_URL = 512
"""Characters of a URL that are looked at."""

_PLAIN = r"\^?(?:[\w/:@%~=&;!-]|\\\W|\.\*\??(?!\.\*))+\$?"


def for_search(expression: str) -> str:
    """Return an expression that a search finds in the same texts.

    Of an expression of plain text and ``.*`` each text is looked for once: the first place where it stands leaves
    the most for the next one, so no other place is tried (an atomic group). Other expressions are returned as they are.

    Args:
        expression: A regular expression for `re.search`.
    """
    if not is_glob(expression):
        return expression
    parts = [part for part in re.split(r"\.\*\??", expression) if part not in ("", "^", "$")]
    if len(parts) < 2:
        return "".join(parts)
    first, *between, last = parts
    return f"{first}{''.join(f'(?>.*?{part})' for part in between)}.*?{last}"


def is_glob(expression: str) -> bool:
    """Tell whether an expression is plain text and ``.*``."""
    return re.fullmatch(_PLAIN, expression) is not None
