"""String literals of SQL statements become `?`.

Semantic conventions, `db.query.text`: "sanitization SHOULD replace all literals".
Numbers stay: they tell queries apart and rarely are secrets.
"""

from __future__ import annotations

import re

# Each pattern also accepts the end of the text as its closing mark, so that it never
# backtracks over a long tail, and a statement that was cut hides its last literal.
_SINGLE = re.compile(r"'(?:[^']|'')*+(?:'|\Z)")
_DOLLAR = re.compile(r"(\$(?:[A-Za-z_]\w{0,62})?\$).*?(?:\1|\Z)", re.DOTALL)
# MySQL and SQLite take double quotes for strings too; elsewhere they mark identifiers,
# which stand behind an operator only with a table before or after a dot.
_COMPARED = re.compile(r"""((?:[=<>]|\blike\b)\s{0,8})"(?:[^"]|"")*+(?:"|\Z)(?!\s{0,8}\.)""", re.IGNORECASE)
_DOUBLE = re.compile(r'"(?:[^"]|"")*+(?:"|\Z)')
_VALUES = re.compile(r"\bvalues\b", re.IGNORECASE)


def mask_literals(statement: str) -> str:
    """Replace every string literal by `?`.

    Args:
        statement: SQL of any dialect.
    """
    if "\\'" in statement or '\\"' in statement:
        return _mask_escaped(statement)
    if "'" in statement:
        statement = _SINGLE.sub("?", statement)
    if "$" in statement:
        statement = _DOLLAR.sub("?", statement)
    if '"' in statement:
        statement = _mask_double(statement)
    return statement


def _mask_double(statement: str) -> str:
    statement = _COMPARED.sub(r"\1?", statement)
    values = _VALUES.search(statement)
    if values is None:
        return statement
    return statement[: values.end()] + _DOUBLE.sub("?", statement[values.end() :])


def _mask_escaped(statement: str) -> str:
    r"""Mask from the first quote to the last: whether `\\'` ends a literal depends on the dialect."""
    quotes = [at for at, char in enumerate(statement) if char in "'\""]
    return f"{statement[: quotes[0]]}?{statement[quotes[-1] + 1 :]}"
