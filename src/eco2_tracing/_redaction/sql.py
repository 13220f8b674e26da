"""Literals of queries become `?`.

Semantic conventions, `db.query.text`: "sanitization SHOULD replace all literals". They would leave a
parameterized text as it is; but a text with placeholders may hold literals too, and here none gets out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from eco2_tracing._redaction.budget import CHEAP, Budget
from eco2_tracing._redaction.lazy import lazy

_MASK = "?"
_OMITTED = "…"
_MOST_TOKENS = 768  # literals, quoted names and comments of one statement: what is behind more of them goes

# Each alternative accepts the end of the text as its closing mark, so that it never backtracks over a long
# tail, and a statement that was cut hides its last literal.
_COMMENT = r"--[^\n]*+ | /\*.*?(?:\*/|\Z) | \#(?![>-])[^\n]*+"
_STRING = r"""
    n?q'(?: \[.*?(?:\]'|\Z) | \{.*?(?:\}'|\Z) | \(.*?(?:\)'|\Z) | <.*?(?:>'|\Z) | (?P<by>[^\s\w']).*?(?:(?P=by)'|\Z) )
  | '(?:[^']|'')*+(?:'|\Z)
  | (?P<tag>\$(?:[a-z_]\w{0,62})?\$).*?(?:(?P=tag)|\Z)
"""
_NAME = r"""`[^`]*+`? | \[[^\[\]'"]*+'[^\[\]'"]*+\] | :\d{1,2}\b"""
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TOKEN = lazy(
    rf"""
      (?P<comment>{_COMMENT})
    | (?P<string>{_STRING})
    | (?P<double>"(?:[^"]|"")*+(?:"|\Z))
    | {_NAME}
    | (?P<number>(?<![\w.$@?%])(?:{_UUID} | \.?\d[\w.]*+) | \b(?:true|false)\b)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)

# Where a token begins that is no number; a search for one character is ten times as fast.
_OPENING = lazy(r"""'|"|\$|`|\[|\#|:(?=\d)|-(?=-)|/(?=\*)""")

# In prose around a statement, numbers count where a literal can stand.
_NUMBER_IN_PLACE = lazy(rf"([=<>(,]\s{{0,8}}[-+]?)(?:{_UUID}|\.?\d[\w.]*+)", re.IGNORECASE)
_NUMBER = lazy(rf"(?<![\w.$@?%])(?:{_UUID}|\.?\d[\w.]*+)", re.IGNORECASE)
# Behind these a double-quoted text is a literal: MySQL, SQLite and JSON have such; elsewhere it is a name.
_BEFORE_LITERAL = lazy(
    r"(?:[=<>|+\[]|(?<!:):|\blike|\bin\s{0,4}\(|\bbetween|\bvalues?\s{0,4}\()\s*\Z", re.IGNORECASE
)
# The same of a single-quoted text in what may be prose.
_BEFORE_OPERAND = lazy(
    r"(?:[=<>|+\[(,]|\b(?:i?like|in|values|then|else|when|interval|by|escape|limit|offset)|between\s{1,8}\S{1,32}\s{1,8}and)\s{0,8}(?:n|e|x|u&|_utf8)?\Z",
    re.IGNORECASE,
)
_VALUES = lazy(r"\bvalues\b", re.IGNORECASE)
_WORD = lazy(r"(?<=[ \t])\S+")
_QUOTED_LITERALS = frozenset(("mysql", "mariadb"))
_COMMANDS = frozenset(("redis", "memcached"))


def mask_literals(statement: str, budget: Budget, system: str = "", *, numbers: bool = True) -> str:
    """Replace every literal by `?`: texts, numbers, dates, booleans, of whatever spelling.

    Args:
        statement: SQL of any dialect, JSON, or a command.
        budget: What is left for places that are looked at; the rest of the statement is cut where nothing is.
        system: The database's name in the semantic conventions, where it is known.
        numbers: Whether numbers are replaced.
    """
    if system in _COMMANDS:
        return _WORD.sub(_MASK, statement)
    if "\\'" in statement or '\\"' in statement:
        # Whether a backslash keeps a literal open depends on the dialect: from the first quote to the last.
        quotes = [at for at, char in enumerate(statement) if char in "'\""]
        head, tail = statement[: quotes[0]], statement[quotes[-1] + 1 :]
        return (
            _masked(head, budget, system, numbers=numbers)
            + _MASK
            + _masked(tail, budget, system, numbers=numbers)
        )
    return _masked(statement, budget, system, numbers=numbers)


def mask_in_place(text: str, budget: Budget, *, strict: bool = False) -> str:
    """Replace the literals of a statement that stands in a message.

    Args:
        text: From the statement's beginning on; prose may follow.
        budget: What is left for places that are looked at.
        strict: Whether a text in quotes is a literal only where an operator, a bracket or a keyword stands before it.
    """
    if "\\'" in text or '\\"' in text:
        return mask_literals(text, budget)
    masked = _Literals(text, budget, "", numbers=False, strict=strict).masked()
    return _NUMBER_IN_PLACE.sub(r"\1?", masked)


def _masked(statement: str, budget: Budget, system: str, *, numbers: bool) -> str:
    return _Literals(statement, budget, system, numbers=numbers).masked()


class _Literals:
    """One pass over a statement: only a reader of all tokens knows which quote opens a literal."""

    __slots__ = ("_all_quoted", "_budget", "_last", "_numbers", "_statement", "_strict", "_values")

    def __init__(
        self, statement: str, budget: Budget, system: str, *, numbers: bool, strict: bool = False
    ) -> None:
        self._budget = budget
        self._statement = statement
        self._numbers = numbers
        self._strict = strict
        self._all_quoted = system in _QUOTED_LITERALS
        found = _VALUES.search(statement) if '"' in statement else None
        self._values = len(statement) if found is None else found.end()
        self._last = -1  # where the last double-quoted literal ended

    def masked(self) -> str:
        """Give the statement without its literals."""
        statement, budget = self._statement, self._budget
        parts: list[str] = []
        done = 0
        tokens = _TOKEN.finditer(statement) if self._numbers else _tokens_without_numbers(statement)
        for count, found in enumerate(tokens):
            budget.left -= CHEAP
            if count == _MOST_TOKENS or budget.left <= 0:
                return f"{''.join(parts)}{statement[done : found.start()]}{_OMITTED}"
            parts += (statement[done : found.start()], self._token(found))
            done = found.end()
        return f"{''.join(parts)}{statement[done:]}" if parts else statement

    def _token(self, found: re.Match[str]) -> str:
        kind = found.lastgroup
        if kind == "double":
            return self._double(found)
        if kind == "string":
            is_literal = (
                not self._strict or self._is_operand(found.start()) or "$$" in found[0] or "=" in found[0]
            )
            return _MASK if is_literal else found[0]
        if kind == "number":
            return _MASK if self._numbers else found[0]
        if kind == "comment":
            return _masked_comment(found[0])
        return found[0]

    def _is_operand(self, start: int) -> bool:
        return _BEFORE_OPERAND.search(self._statement, max(0, start - 48), start) is not None

    def _double(self, found: re.Match[str]) -> str:
        start, end = found.span()
        statement = self._statement
        self._budget.left -= CHEAP // 2  # more looks than at other literals
        after = statement[end : end + 8].lstrip()
        if not self._all_quoted and start < self._values:
            before = statement[max(0, start - 24) : start]
            listed = self._last >= 0 and statement[self._last : start].strip() == ","
            is_name = after.startswith((".", ":")) or before.rstrip().endswith(".")
            if is_name or not (listed or _BEFORE_LITERAL.search(before)):
                # Whoever quotes a whole statement has literals in it, as `repr` of it does.
                return found[0] if found[0].count("'") < 2 else _MASK
        self._last = end
        return _MASK


def _tokens_without_numbers(statement: str) -> Iterator[re.Match[str]]:
    """Find the tokens of a statement but its numbers."""
    done = 0
    while opening := _OPENING.search(statement, done):
        at = opening.start()
        if statement[at] == "'" and statement[at - 1 : at] in ("q", "Q") and at > done:
            at -= 2 if statement[at - 2 : at - 1] in ("n", "N") and at - 1 > done else 1
        found = _TOKEN.match(statement, at)
        done = opening.end() if found is None else found.end()
        if found is not None:
            yield found


def _masked_comment(text: str) -> str:
    """Keep a comment that hides nothing: what is one in this dialect may be code in another."""
    if "'" in text or '"' in text or "$" in text:
        return f"/*{_MASK}*/" if text.startswith("/*") else text[:1] * (2 if text[0] == "-" else 1) + _MASK
    return _NUMBER.sub(_MASK, text)
