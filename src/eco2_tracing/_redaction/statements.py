"""Masks SQL statements in messages and stack traces."""

from __future__ import annotations

import re

from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import CHEAP, OMITTED, PLACE, Budget
from eco2_tracing._redaction.sql import mask_in_place, mask_literals

STARTS = (
    "WITH ", "VALUES ", "CALL ", "EXEC ", "EXECUTE ", "SHOW ", "SET ", "PRAGMA ", "ATTACH ", "CREATE ", "ALTER ",
    "GRANT ", "COPY ", "DO ",
)  # fmt: skip
"""Beginnings of other statements. They must be in capitals, because in lower case they are words of prose."""

_NAME = r"""[\w."`\[\]\\]{1,128}"""
_GAP = r"\s{1,8}"
_COLUMN = (
    r"""(?:\*|[\w."`\[\]:]{1,64}(?:\([^)\n]{0,128}\)|\.\*)?"""
    r"""(?:::\w{1,32})?(?:\s{1,4}(?:as\s{1,4})?[\w"`]{1,64})?)"""
)
_COLUMNS = (
    rf"{_GAP}(?:distinct{_GAP})?{_COLUMN}(?:\s{{0,4}},\s{{0,4}}{_COLUMN}){{0,20}}{_GAP}from{_GAP}[\w\"`\[(]"
)
# A text in quotes after `select`, and what may follow it in SQL but not in prose.
_SELECTED = (
    r"""\s{1,8}(?:\w{1,64}\()?n?\\{0,7}'[^'\n]{0,1024}"""
    r"""(?:'\s{0,4}(?:[,;)\]"'`\\|:+]|from\b|as\b|where\b|union\b|\n|\Z)|\Z)"""
)

_INTO = rf"into{_GAP}{_NAME}\s{{0,8}}"
_UPDATE = rf"update{_GAP}\S{{1,200}}{_GAP}(?:\S{{1,64}}{_GAP}){{0,2}}set"
_PARAMETER = r"@\w{1,64}\s{0,4}=\s{0,4}"
_EXEC = rf"exec(?:ute)?{_GAP}"
# By the first word. A literal search finds the word, and the pattern matches there. The first pattern is for words in
# capitals. The second is for other words and stricter, because "insert the card into slot 'B'" is prose.
_BEGINS = {
    "select": (r"select\s", rf"select(?:{_COLUMNS}|(?P<text>{_SELECTED}))"),
    "insert": (
        rf"insert{_GAP}(?:\w{{1,16}}{_GAP}){{0,2}}into\s",
        rf"insert{_GAP}(?:\w{{1,16}}{_GAP}){{0,2}}{_INTO}(?:\(|(?:values|select|default|set|as)\b)",
    ),
    "replace": (rf"replace{_GAP}into\s", rf"replace{_GAP}{_INTO}(?:\(|(?:values|select|set)\b)"),
    "merge": (rf"merge{_GAP}into\s", rf"merge{_GAP}into\s[^\n]{{1,256}}\susing\s"),
    "update": (rf"{_UPDATE}\s", rf"{_UPDATE}{_GAP}{_NAME}\s{{0,8}}="),
    "delete": (
        rf"delete{_GAP}from\s",
        rf"delete{_GAP}from{_GAP}{_NAME}(?:{_GAP}\w{{1,64}})?{_GAP}(?:where|using|returning)\b",
    ),
    "[sql:": (r"\[sql:\s", r"\[sql:\s"),
    "line ": (r"line \d{1,4}: ", r"(?!)"),
    "call": (rf"call{_GAP}{_NAME}\s{{0,4}}\(", rf"call{_GAP}{_NAME}\([^)\n]{{0,512}}?['\"]"),
    "exec": (
        rf"{_EXEC}(?:{_PARAMETER})?{_NAME}{_GAP}(?:{_PARAMETER})?n?\\{{0,7}}['\"\d]",
        rf"{_EXEC}(?:{_NAME}{_GAP}{_PARAMETER}|(?:dbo\.|sp_|xp_|usp_){_NAME}\s)",
    ),
    "set password": (r"set\spassword\b", r"set\spassword\b(?=[^\n]{0,256}['\"])"),
}
_PATTERNS = {word: (lazy(loose), lazy(strict)) for word, (loose, strict) in _BEGINS.items()}
_CALLS = frozenset(("call", "exec", "set password"))  # all texts in quotes are values in these

CAPITALS = lazy(r"(?:WITH|VALUES|SHOW|SET|PRAGMA|ATTACH|CREATE|ALTER|GRANT|COPY|DO)[ ]")
"""Finds the words of `STARTS` within a text, `CALL` and `EXEC` excepted."""

_QUOTED = lazy(r"[^\n]{0,512}?['\"]")
_BEFORE_CAPITALS = lazy(r"(?:[\"'`(]|:[ ]|\\n|\n)\Z")
# Lines that may follow a statement, in a traceback or in a driver's message.
_END = lazy(r'\]?\n(?=[ \t]{0,8}File "|[\[(]|Traceback|During |The above|[ \t]{0,8}\n|[A-Z]\w{1,60}:)')
_MOST = 128
_COSTS = {"select": 4 * PLACE}  # up to twenty columns
_ALL, _IN_PLACE, _STRICT, _OMIT = range(4)


def mask_statements(text: str, low: str, budget: Budget) -> str:
    """Return a message with masked literals of its SQL statements."""
    if text.startswith(STARTS):
        is_call = text.startswith(("CALL ", "EXEC"))
        return mask_literals(text, budget, "mysql", numbers=False) if is_call else mask_in_place(text, budget)
    parts: list[str] = []
    done = 0
    for start, mode in _find_statements(text, low, budget):
        if start < done:
            continue
        if mode == _OMIT:
            return f"{''.join(parts)}{text[done:start]}{OMITTED}"
        stop = _END.search(text, start)
        end = len(text) if stop is None else stop.start()
        statement = text[start:end]
        if mode == _ALL:
            masked = mask_literals(statement, budget, "mysql", numbers=False)
        else:
            masked = mask_in_place(statement, budget, strict=mode == _STRICT)
        parts += (text[done:start], masked)
        done = end
    return "".join(parts) + text[done:] if parts else text


def _find_statements(text: str, low: str, budget: Budget) -> list[tuple[int, int]]:
    """Return the positions of statements, and the mode in which each is masked."""
    places: list[tuple[int, int]] = []
    for word, patterns in _PATTERNS.items():
        at = low.find(word)
        while at >= 0 and len(places) <= _MOST and budget.left > 0:
            end = at + len(word)
            budget.left -= _COSTS.get(word, PLACE) if low[end : end + 1].isspace() else CHEAP
            mode = _mode_at(text, low, at, word, patterns)
            if mode is not None:
                places.append((at, mode))
            at = low.find(word, end)
        if at >= 0:
            places.append((at, _OMIT))  # too many candidates: the rest is omitted
    if "'" in low or '"' in low:
        for found in CAPITALS.finditer(text):
            start = found.start()
            budget.left -= CHEAP
            if budget.left <= 0 or len(places) > _MOST:
                places.append((start, _OMIT))
                break
            if start == 0 or _BEFORE_CAPITALS.search(text, max(0, start - 3), start) is not None:
                budget.left -= PLACE
                if _QUOTED.match(text, found.end()):
                    places.append((start, _IN_PLACE))
    return sorted(places)


def _mode_at(
    text: str, low: str, at: int, word: str, patterns: tuple[re.Pattern[str], re.Pattern[str]]
) -> int | None:
    """Return the mode in which the statement at a position is masked; ``None`` if there is no statement."""
    before = low[at - 1 : at]
    if word[0] != "[" and (before.isalnum() or before == "_") and low[max(0, at - 2) : at] != "\\n":
        return None
    capitals = text[at : at + len(word)].isupper()
    found = patterns[not capitals].match(low, at)
    if found is None:
        return None
    if word in _CALLS:
        return _ALL
    if capitals or word[0] == "[":
        return _IN_PLACE
    if word != "select" or found["text"] is None:
        return _STRICT
    # "please select 'Yes'" is prose, and so is "Select 'Yes'".
    return _IN_PLACE if text[at].islower() and not (before == " " and low[max(0, at - 2)].isalpha()) else None
