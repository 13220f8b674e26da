"""Masks SQL statements: replaces the literals of queries by `?`, also in messages and stack traces.

Semantic conventions, `db.query.text`: "sanitization SHOULD replace all literals". The conventions exempt
parameterized queries. These may hold literals too, so this module also replaces their literals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import CHEAP, OMITTED, PLACE, Budget

_MASK = "?"
_MOST_TOKENS = 768  # literals, quoted names and comments of one statement; the rest is omitted

# Each alternative accepts the end of the text as its closing mark. So it never backtracks over a long text, and the
# last literal of a truncated statement is masked.
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

# The beginning of a token that is not a number. The search for one character is ten times as fast as for tokens.
_OPENING = lazy(r"""'|"|\$|`|\[|\#|:(?=\d)|-(?=-)|/(?=\*)""")

# In a message with a statement, a number is a literal only after an operator, a bracket or a comma.
_NUMBER_IN_PLACE = lazy(rf"([=<>(,]\s{{0,8}}[-+]?)(?:{_UUID}|\.?\d[\w.]*+)", re.IGNORECASE)
_NUMBER = lazy(rf"(?<![\w.$@?%])(?:{_UUID}|\.?\d[\w.]*+)", re.IGNORECASE)
# After these, a double-quoted text is a literal, as in MySQL, SQLite and JSON. Elsewhere it is a name.
_BEFORE_LITERAL = lazy(
    r"(?:[=<>|+\[]|(?<!:):|\blike|\bin\s{0,4}\(|\bbetween|\bvalues?\s{0,4}\()\s*\Z", re.IGNORECASE
)
# After these, a single-quoted text is a literal, also in a text that may be prose.
_BEFORE_OPERAND = lazy(
    r"(?:[=<>|+\[(,]|\b(?:i?like|in|values|then|else|when|interval|by|escape|limit|offset)|between\s{1,8}\S{1,32}\s{1,8}and)\s{0,8}(?:n|e|x|u&|_utf8)?\Z",
    re.IGNORECASE,
)
_VALUES = lazy(r"\bvalues\b", re.IGNORECASE)
_WORD = lazy(r"(?<=[ \t])\S+")


def mask_literals(statement: str, budget: Budget, system: str = "", *, numbers: bool = True) -> str:
    """Return a statement with `?` for each literal: texts, dates, booleans and, unless they are excluded, numbers.

    It is SQL of any dialect, a JSON query or a command. ``system`` is the database's name in the conventions, if known.
    """
    if system == "memcached":
        return _WORD.sub(_MASK, statement)
    if "\\'" in statement or '\\"' in statement:
        # A backslash escapes a quote in some dialects only, so all from the first quote to the last is masked.
        quotes = [at for at, char in enumerate(statement) if char in "'\""]
        head, tail = statement[: quotes[0]], statement[quotes[-1] + 1 :]
        head, tail = (mask_literals(each, budget, system, numbers=numbers) for each in (head, tail))
        return head + _MASK + tail
    quoted = system in ("mysql", "mariadb")
    return _Literals(statement, budget, quoted=quoted, numbers=numbers, strict=False).masked()


def mask_in_place(text: str, budget: Budget, *, strict: bool = False) -> str:
    """Return a message, which begins with a statement, with `?` for each of its literals. Prose may follow.

    If ``strict``, a text in quotes is a literal only after an operator, a bracket or a keyword.
    """
    if "\\'" in text or '\\"' in text:
        return mask_literals(text, budget)
    literals = _Literals(text, budget, quoted=False, numbers=False, strict=strict)
    return _NUMBER_IN_PLACE.sub(r"\1?", literals.masked())


class _Literals:
    """Replaces literals in one pass over all tokens. Without the tokens before it, a quote may open or close a text."""

    __slots__ = ("_all_quoted", "_budget", "_last", "_numbers", "_statement", "_strict", "_values")

    def __init__(self, statement: str, budget: Budget, *, quoted: bool, numbers: bool, strict: bool) -> None:
        self._budget = budget
        self._statement = statement
        self._numbers = numbers
        self._strict = strict
        self._all_quoted = quoted  # each text in double quotes is a literal
        found = _VALUES.search(statement) if '"' in statement else None
        self._values = len(statement) if found is None else found.end()
        self._last = -1  # the end of the last double-quoted literal

    def masked(self) -> str:
        """Return the statement without its literals."""
        statement, budget = self._statement, self._budget
        parts: list[str] = []
        done = 0
        tokens = _TOKEN.finditer(statement) if self._numbers else _tokens_without_numbers(statement)
        for count, found in enumerate(tokens):
            budget.left -= CHEAP
            if count == _MOST_TOKENS or budget.left <= 0:
                return f"{''.join(parts)}{statement[done : found.start()]}{OMITTED}"
            parts += (statement[done : found.start()], self._token(found))
            done = found.end()
        return f"{''.join(parts)}{statement[done:]}" if parts else statement

    def _token(self, found: re.Match[str]) -> str:
        kind, text = found.lastgroup, found[0]
        if kind == "double":
            return self._double(found)
        if kind == "string":
            start = found.start()
            is_operand = not self._strict or _BEFORE_OPERAND.search(
                self._statement, max(0, start - 48), start
            )
            return _MASK if is_operand or "$$" in text or "=" in text else text
        if kind == "number":
            return _MASK if self._numbers else text
        if kind != "comment":
            return text
        # A comment may be code in another dialect.
        if "'" in text or '"' in text or "$" in text:
            return (
                f"/*{_MASK}*/" if text.startswith("/*") else text[:1] * (2 if text[0] == "-" else 1) + _MASK
            )
        return _NUMBER.sub(_MASK, text)

    def _double(self, found: re.Match[str]) -> str:
        start, end = found.span()
        statement = self._statement
        self._budget.left -= CHEAP  # it needs more searches than other literals
        after = statement[end : end + 8].lstrip()
        if not self._all_quoted and start < self._values:
            before = statement[max(0, start - 24) : start]
            listed = self._last >= 0 and statement[self._last : start].strip() == ","
            is_name = after.startswith((".", ":")) or before.rstrip().endswith(".")
            if is_name or not (listed or _BEFORE_LITERAL.search(before)):
                # A quoted text with two single quotes is a quoted statement with literals, such as its `repr`.
                return found[0] if found[0].count("'") < 2 else _MASK
        self._last = end
        return _MASK


def _tokens_without_numbers(statement: str) -> Iterator[re.Match[str]]:
    """Yield the tokens of a statement except numbers."""
    done = 0
    while opening := _OPENING.search(statement, done):
        at = opening.start()
        if statement[at] == "'" and statement[at - 1 : at] in ("q", "Q") and at > done:
            at -= 2 if statement[at - 2 : at - 1] in ("n", "N") and at - 1 > done else 1
        found = _TOKEN.match(statement, at)
        done = opening.end() if found is None else found.end()
        if found is not None:
            yield found


STARTS = (
    "WITH ", "VALUES ", "CALL ", "EXEC ", "EXECUTE ", "SHOW ", "SET ", "PRAGMA ", "ATTACH ", "CREATE ", "ALTER ",
    "GRANT ", "COPY ", "DO ",
)  # fmt: skip
"""Beginnings of other statements. They must be in capitals, because in lower case they are words of prose."""

_TABLE = r"""[\w."`\[\]\\]{1,128}"""
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

_INTO = rf"into{_GAP}{_TABLE}\s{{0,8}}"
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
    "update": (rf"{_UPDATE}\s", rf"{_UPDATE}{_GAP}{_TABLE}\s{{0,8}}="),
    "delete": (
        rf"delete{_GAP}from\s",
        rf"delete{_GAP}from{_GAP}{_TABLE}(?:{_GAP}\w{{1,64}})?{_GAP}(?:where|using|returning)\b",
    ),
    "[sql:": (r"\[sql:\s", r"\[sql:\s"),
    "line ": (r"line \d{1,4}: ", r"(?!)"),
    "call": (rf"call{_GAP}{_TABLE}\s{{0,4}}\(", rf"call{_GAP}{_TABLE}\([^)\n]{{0,512}}?['\"]"),
    "exec": (
        rf"{_EXEC}(?:{_PARAMETER})?{_TABLE}{_GAP}(?:{_PARAMETER})?n?\\{{0,7}}['\"\d]",
        rf"{_EXEC}(?:{_TABLE}{_GAP}{_PARAMETER}|(?:dbo\.|sp_|xp_|usp_){_TABLE}\s)",
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
_STATEMENT_END = lazy(
    r'\]?\n(?=[ \t]{0,8}File "|[\[(]|Traceback|During |The above|[ \t]{0,8}\n|[A-Z]\w{1,60}:)'
)
_MOST = 128
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
        stop = _STATEMENT_END.search(text, start)
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
    for word in _PATTERNS:
        at = low.find(word)
        while at >= 0 and len(places) <= _MOST and budget.left > 0:
            end = at + len(word)
            cost = 4 * PLACE if word == "select" else PLACE  # up to twenty columns
            budget.left -= cost if low[end : end + 1].isspace() else CHEAP
            mode = _mode_at(text, low, at, word)
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


def _mode_at(text: str, low: str, at: int, word: str) -> int | None:
    """Return the mode in which the statement at a position is masked; ``None`` if there is no statement."""
    before = low[at - 1 : at]
    if word[0] != "[" and (before.isalnum() or before == "_") and low[max(0, at - 2) : at] != "\\n":
        return None
    capitals = text[at : at + len(word)].isupper()
    found = _PATTERNS[word][not capitals].match(low, at)
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
