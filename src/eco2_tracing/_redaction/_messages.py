"""What databases and their drivers repeat of a statement and its parameters, in messages and log lines."""

from __future__ import annotations

import re

from eco2_tracing._redaction._keys import MASK
from eco2_tracing._redaction._sql import mask_in_place

DETAILS = (
    "parameters:", "key (", "row contains", "duplicate entry", "or near", "input ", "generated in",
    "cached since", "raw sql", "no key", "dup key", ": syntax",
)  # fmt: skip
"""Each of the details below has one of these, beside a quote or a bracket: what a literal look-up searches for."""

_STATEMENT = re.compile(
    r"""\b(?: (?P<select>select)\s | insert\s{1,8}(?:\w{1,16}\s{1,8}){0,2}into\s | (?:replace|merge)\s{1,8}into\s
      | update\s{1,8}\S{1,200}\s{1,8}(?:\S{1,64}\s{1,8}){0,2}set\s | delete\s{1,8}from\s )""",
    re.VERBOSE,
)
_REACH = 500
# The lines that may come behind a statement: of a traceback, of a driver.
_END = re.compile(r'\]?\n(?=[ \t]{0,8}File "|[\[(]|Traceback|During |The above|[ \t]{0,8}\n|[A-Z]\w{1,60}:)')
_DETAIL = re.compile(
    r"""
      (?P<constraint>\bkey[ ]\([^)\n]{0,512}\)=)(?:\([^\n]{0,1024}?\)(?=[ ,.]|\n|\Z)|\([^\n]*)
    | (?P<row>\brow[ ]contains[ ])\([^\n]*
    | (?P<entry>\bduplicate[ ]entry[ ])\\{0,7}(?:'[^\n]{0,1024}?'(?=[ ]for[ ]key)|'[^\n]*)
    | (?P<near>\bor[ ]near[ ]|\bnear[ ](?=\\{0,7}"[^"\n]{0,1024}":[ ]syntax))\\{0,7}"[^"\n]*"?
    | (?P<input>\binput[ ](?:syntax|value)[ ]for[ ][^:\n]{1,100}:[ ])\\{0,7}"[^\n]*
    | (?P<parameters>\[parameters:[ ])[^\n]*?(?=\]?(?:\n|\Z))
    | (?P<echo>\[(?:generated[ ]in|cached[ ]since|raw[ ]sql|no[ ]key|caching[ ]disabled)[^\]\n]{0,80}\][ ])[(\[{][^\n]*
    | (?P<mongo>\bdup[ ]key:[ ])\{[^\n]*
    """,
    re.VERBOSE | re.IGNORECASE,
)


def mask_details(text: str) -> str:
    """Mask the values that drivers tell in their errors, and that SQLAlchemy logs.

    Args:
        text: Any text.
    """
    return _DETAIL.sub(_kept_before, text)


def _kept_before(found: re.Match[str]) -> str:
    return f"{found[found.lastgroup or 0]}{MASK}"


def mask_statements(text: str, low: str) -> str:
    """Mask the literals of SQL statements in a message.

    Args:
        text: Any text.
        low: The same in lower case, of the same length.
    """
    parts: list[str] = []
    done = 0
    for found in _STATEMENT.finditer(low):
        start = found.start()
        if start < done:
            continue
        if found["select"] is not None and not _is_query(text, low, start):
            continue
        stop = _END.search(text, start)
        end = len(text) if stop is None else stop.start()
        parts += (text[done:start], mask_in_place(text[start:end]))
        done = end
    return "".join(parts) + text[done:] if parts else text


def _is_query(text: str, low: str, start: int) -> bool:
    """Tell a query from the word: it is in capitals, or has a `from`."""
    return (
        text[start : start + 6].isupper()
        or low.find(" from ", start, start + _REACH) > 0
        or (low.find("\nfrom ", start, start + _REACH) > 0)
    )
