"""Masks values that error messages repeat: statement parameters of databases, and rejected input of pydantic."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eco2_tracing._redaction.extent import LITERALS, mask_spans, value_span
from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import CHEAP, PLACE, Budget


def _details(**patterns: str) -> dict[str, re.Pattern[str]]:
    """Return the patterns that match after each word. Group 1 is kept, the rest is masked."""
    return {
        word.replace("_", " "): lazy(pattern, re.VERBOSE | re.IGNORECASE)
        for word, pattern in patterns.items()
    }


_TYPES = "integer|decimal|double|float|date|datetime|time|timestamp|year|string|boolean|enum|json|point"
# By the word after which the pattern matches. A literal search finds the word, which is faster than a pattern search.
# Messages of PostgreSQL, MySQL, SQLite, SQLAlchemy, Redis, MongoDB and pydantic.
_DETAILS = _details(
    key=r"([ ]\([^=\n]{0,256}\)=)(?:\([^\n]{0,1024}?\)(?=[ ,.]|\n|\Z)|\([^\n]*)",
    row_contains=r"([ ])\([^\n]*",
    duplicate_entry=r"""
        ([ ])\\{0,7}(?:'[^\n]{0,1024}?'(?=[ ]for[ ]key)|(?!'[^'\n]{0,1024}'(?:[ ][a-z]|\.?\Z|\n))'[^\n]*)""",
    or_near=r"([ ])\\{0,7}\"[^\"\n]*\"?",
    near=r"([ ])(?=\\{0,7}\"[^\"\n]{0,1024}\":[ ]syntax)\\{0,7}\"[^\"\n]*\"?",
    input=r"([ ](?:syntax[ ]for|value[ ]for[ ]enum)[ ][^:\n]{1,100}:[ ])\\{0,7}\"[^\n]*",
    incorrect=rf"([ ](?:{_TYPES})(?:[ ]value)?:[ ])\\{{0,7}}(?:'[^\n]{{0,1024}}?'(?=[ ]for[ ]column)|'[^\n]*)",
    field_value_out_of_range=r"(:[ ])\\{0,7}\"[^\n]*",
    value=r"([ ])\\{0,7}\"[^\n]{0,1024}?\"(?=[ ]is[ ]out[ ]of[ ]range[ ]for)",
    parameters=r"(:[ ])[^\n]*?(?=\]?(?:\n|\Z))",
    args_beginning_with=r"(:[ ])[^\n]*",
    to_use_near=r"([ ])\\{0,7}(?:'[^\n]{0,1024}?'(?=[ ]at[ ]line)|'[^\n]*)",
    command=r"([ ]\#[ ]\d{1,9}[ ])(?:\([^\n]{0,1024}?\)(?=[ ]of[ ]pipeline)|\([^\n]*)",
    dup_key=r"(:[ ])\{[^\n]*",
)
_DETAILS["input_value="] = lazy(r"()[^\n]*?(?=,[ ]input_type=|\n|\Z)")
_AFTER_BRACKET = ("generated in", "cached since", "raw sql", "no key", "caching disabled")
for _word in _AFTER_BRACKET:
    _DETAILS[_word] = lazy(r"([^\]\n]{0,80}\][ ])(?!\(\)|\{\})[(\[{][^\n]*")
_BRACKETED = frozenset(("parameters", *_AFTER_BRACKET))
_MARK = lazy(r""":? ?[\\'"({]""")  # a value may follow: its search costs more
_RESULT = lazy(r"\A((?:row|col)[ ])\([^\n]*\)\Z", re.IGNORECASE)  # rows that SQLAlchemy's engine logs

DETAILS = (
    "key (", "key:", "contains", "duplicate", "near", "input", "incorrect", "range", "parameters", "generated",
    "cached", "raw sql", "no key", "caching", "beginning", "command #", "row (", "col (",
)  # fmt: skip
"""Words for the literal search. Each detail has one of these, and a quote or a bracket."""

# One of pydantic's errors as a mapping. The rejected input follows its message.
_MESSAGE = lazy(r"""(?<=["']msg)\\{0,63}["']""")
_INPUT = lazy(r"""[^\n]{0,512}?["']input\\{0,63}["']:[ ]?""")


def mask_details(text: str, low: str, budget: Budget) -> str:
    """Return a text with masked values of driver errors and of SQLAlchemy's log messages."""
    spans: list[tuple[int, int]] = []
    for word in _DETAILS:
        if word in low:
            _find_detail(text, low, word, spans, budget)
    if low.startswith(("row (", "col (")) and (found := _RESULT.match(text)) is not None:
        spans.append((found.end(1), found.end()))
    if "input" in low and "msg" in low:
        spans += _find_rejected_inputs(text, budget)
    return mask_spans(text, spans)


def _find_detail(text: str, low: str, word: str, spans: list[tuple[int, int]], budget: Budget) -> None:
    pattern = _DETAILS[word]
    at = low.find(word)
    while at >= 0:
        if budget.left <= 0:
            spans.append((at, len(text)))
            return
        end = at + len(word)
        budget.left -= 4 * PLACE if _MARK.match(low, end) else CHEAP
        before = low[at - 1 : at]
        begins = before == "[" if word in _BRACKETED else not before.isalnum()
        found = pattern.match(text, end) if begins else None
        if found is not None:
            spans.append((found.end(1), found.end()))
            end = max(end, found.end())
        at = low.find(word, end)


def _find_rejected_inputs(text: str, budget: Budget) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    at = 0
    while message := _MESSAGE.search(text, at):
        at = message.end()
        if budget.left <= 0:
            return [*spans, (at, len(text))]
        budget.left -= 2 * CHEAP
        found = _INPUT.match(text, at)
        if found is None:
            continue
        at = found.end()
        span = value_span(text, at, "", LITERALS)
        if span is not None:
            spans.append(span)
            at = max(at, span[1])
    return spans


def is_validation_error(value: Mapping[Any, object]) -> bool:
    """Return True if a dictionary is one of pydantic's errors, which hold the rejected input."""
    return "input" in value and "loc" in value and "msg" in value
