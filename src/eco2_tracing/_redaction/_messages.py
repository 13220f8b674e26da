"""What databases and their drivers repeat of a statement and its parameters, in messages and log lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eco2_tracing._redaction._extent import LITERALS, covered, value_span
from eco2_tracing._redaction._keys import MASK
from eco2_tracing._redaction._sql import mask_in_place

DETAILS = (
    "parameters:", "key (", "row contains", "duplicate entry", "or near", "input", "generated in",
    "cached since", "raw sql", "no key", "dup key", ": syntax", "value", "beginning with", "row (", "col (",
    "use near", "command #",
)  # fmt: skip
"""Each of the details below has one of these, beside a quote or a bracket: what a literal look-up searches for."""

_STATEMENT = re.compile(
    r"""\b(?: (?P<select>select)\s | insert\s{1,8}(?:\w{1,16}\s{1,8}){0,2}into\s | (?:replace|merge)\s{1,8}into\s
      | update\s{1,8}\S{1,200}\s{1,8}(?:\S{1,64}\s{1,8}){0,2}set\s | delete\s{1,8}from\s )
      | \[sql:\s | (?P<line>(?:\b|\\n)line[ ]\d{1,4}:[ ])""",
    re.VERBOSE,
)
# Of a statement that an engine's logger writes as it is; in capitals, for they are words as well.
STARTS = (
    "WITH ", "VALUES ", "CALL ", "EXEC ", "EXECUTE ", "SHOW ", "SET ", "PRAGMA ", "ATTACH ", "CREATE ", "ALTER ",
    "GRANT ", "COPY ", "DO ",
)  # fmt: skip
"""How a statement begins of which none of the words above tells."""

_REACH = 500
_LITERAL = re.compile(r"\s{1,8}(?:\w{1,64}\()?\\{0,7}'")
# One of pydantic's errors as a mapping: what follows is the value that was refused.
_INPUT = re.compile(r"""(?<=["']msg)\\{0,63}["'][^\n]{0,512}?["']input\\{0,63}["']:[ ]?""")
# The lines that may come behind a statement: of a traceback, of a driver.
_END = re.compile(r'\]?\n(?=[ \t]{0,8}File "|[\[(]|Traceback|During |The above|[ \t]{0,8}\n|[A-Z]\w{1,60}:)')
_DETAIL = re.compile(
    r"""
      (?P<constraint>\bkey[ ]\([^=\n]{0,512}\)=)(?:\([^\n]{0,1024}?\)(?=[ ,.]|\n|\Z)|\([^\n]*)
    | (?P<row>\brow[ ]contains[ ])\([^\n]*
    | (?P<entry>\bduplicate[ ]entry[ ])\\{0,7}(?:'[^\n]{0,1024}?'(?=[ ]for[ ]key)|'[^\n]*)
    | (?P<near>\bor[ ]near[ ]|\bnear[ ](?=\\{0,7}"[^"\n]{0,1024}":[ ]syntax))\\{0,7}"[^"\n]*"?
    | (?P<input>\binput[ ](?:syntax|value)[ ]for[ ][^:\n]{1,100}:[ ])\\{0,7}"[^\n]*
    | (?P<wrong>\bincorrect[ ]\w{1,20}(?:[ ]value)?:[ ])\\{0,7}(?:'[^\n]{0,1024}?'(?=[ ]for[ ]column)|'[^\n]*)
    | (?P<range>\bout[ ]of[ ]range:[ ])\\{0,7}"[^\n]*
    | (?P<type>\bvalue[ ])\\{0,7}"[^\n]{0,1024}?"(?=[ ]is[ ]out[ ]of[ ]range)
    | (?P<validated>\binput_value=)[^\n]*?(?=,[ ]input_type=|\n|\Z)
    | (?P<parameters>\[parameters:[ ])[^\n]*?(?=\]?(?:\n|\Z))
    | (?P<echo>\[(?:generated[ ]in|cached[ ]since|raw[ ]sql|no[ ]key|caching[ ]disabled)[^\]\n]{0,80}\][ ])[(\[{][^\n]*
    | (?P<redis>\bargs[ ]beginning[ ]with:[ ])[^\n]*
    | (?P<result>\A(?:row|col)[ ])\([^\n]*\)\Z
    | (?P<syntax>\bto[ ]use[ ]near[ ])\\{0,7}(?:'[^\n]{0,1024}?'(?=[ ]at[ ]line)|'[^\n]*)
    | (?P<pipeline>\bcommand[ ]\#[ ]\d{1,9}[ ])(?:\([^\n]{0,1024}?\)(?=[ ]of[ ]pipeline)|\([^\n]*)
    | (?P<mongo>\bdup[ ]key:[ ])\{[^\n]*
    """,
    re.VERBOSE | re.IGNORECASE,
)


def mask_details(text: str) -> str:
    """Mask the values that drivers tell in their errors, and that SQLAlchemy logs.

    Args:
        text: Any text.
    """
    text = _DETAIL.sub(_kept_before, text)
    return _without_inputs(text) if "input" in text and "msg" in text else text


def _without_inputs(text: str) -> str:
    spans: list[tuple[int, int]] = []
    at = 0
    while found := _INPUT.search(text, at):
        at = found.end()
        span = value_span(text, at, "", LITERALS)
        if span is not None:
            spans.append(span)
            at = max(at, span[1])
    return covered(text, spans)


def is_refusal(value: Mapping[Any, object]) -> bool:
    """Tell whether a mapping is one of pydantic's errors, which holds the value that it refused.

    Args:
        value: A dictionary of our own.
    """
    return "input" in value and "loc" in value and "msg" in value


def _kept_before(found: re.Match[str]) -> str:
    return f"{found[found.lastgroup or 0]}{MASK}"


def mask_statements(text: str, low: str) -> str:
    """Mask the literals of SQL statements in a message.

    Args:
        text: Any text.
        low: The same in lower case, of the same length.
    """
    if text.startswith(STARTS):
        return mask_in_place(text)
    parts: list[str] = []
    done = 0
    for found in _STATEMENT.finditer(low):
        start = found.start()
        if start < done:
            continue
        if found["select"] is not None and not _is_query(text, low, start):
            continue
        if found["line"] is not None and "LINE" not in text[start : found.end()]:
            continue
        stop = _END.search(text, start)
        end = len(text) if stop is None else stop.start()
        parts += (text[done:start], mask_in_place(text[start:end]))
        done = end
    return "".join(parts) + text[done:] if parts else text


def _is_query(text: str, low: str, start: int) -> bool:
    """Tell a query from the word: it is in capitals, selects a literal, or has a `from`."""
    return (
        text[start : start + 6].isupper()
        or _LITERAL.match(text, start + 6) is not None
        or low.find(" from ", start, start + _REACH) > 0
        or (low.find("\nfrom ", start, start + _REACH) > 0)
    )
