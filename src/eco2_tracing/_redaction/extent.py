"""Finds the beginning and the end of the value after a secret's name."""

from __future__ import annotations

import re

from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.lazy import lazy

# A value after a colon that is one of these words is prose or source code: "token: expired", "token: str".
PROSE = frozenset((
    "a", "accepted", "added", "an", "any", "are", "array", "at", "authentication", "authorization", "bool", "boolean",
    "bytes", "can", "cannot", "changed", "closed", "created", "deleted", "denied", "disabled", "does", "empty",
    "enabled", "error", "expired", "failed", "false", "field", "found", "from", "generated", "given", "granted", "has",
    "have", "header", "hidden", "in", "incorrect", "int", "integer", "invalid", "is", "length", "loaded", "malformed",
    "masked", "maximum", "may", "minimum", "mismatch", "missing", "must", "need", "needs", "no", "none", "not", "null",
    "number", "object", "of", "ok", "only", "optional", "or", "please", "policy", "provided", "received", "refreshed",
    "rejected", "removed", "required", "reset", "revoked", "rotated", "scheme", "secretstr", "set", "should", "stored",
    "str", "string", "strong", "the", "this", "to", "token", "tokens", "too", "true", "undefined", "unexpected",
    "unknown", "unset", "unsupported", "updated", "used", "valid", "varchar", "verified", "was", "weak", "will",
    "wrong", "yes", "your",
))  # fmt: skip
LITERALS = frozenset(("none", "null", "true", "false", "undefined"))

# A quote after backslashes does not close a text. Each `repr` doubles the backslashes.
# Each alternative accepts the end of the text as its closing mark, so that it never backtracks.
_VALUE = lazy(
    r"""
      (?P<open>[a-z]{0,2}")(?:[^"\\]|\\++.|"")*+(?P<close>"|\\?\Z)
    | (?P<open2>[a-z]{0,2}')(?:[^'\\]|\\++.|'')*+(?P<close2>'|\\?\Z)
    | (?P<open3>b?(?P<one>\\{1,63}["'])(?:(?P=one){2})?|`|&quot;|&\#3[49];|\\{1,4}u0022|%22)
      .*?(?P<close3>(?<!\\)(?:(?P=open3)|(?P=one))|\Z)
    | <[^\s<>"']{1,256}>
    | [|>][+-]?[ \t]{0,8}(?:(?:\n|\\{1,4}n)[ \t]++[^\n\\]*+)++
    | [!&][\w!.-]{1,64}[ ]{1,4}[^\s"'<>|]+
    | (?:digest|aws4-hmac-sha256)[ ][^\n]*
    | (?:bearer|basic|negotiate|apikey|token)(?:[ ]{1,4}|(?:\\{1,4}r|\r)?(?:\\{1,4}n|\n)[ \t]{1,8})[^\s"'<>]+
    | (?P<bracket>[\[{(]|[\w.]{1,64}[(\[{])
    | (?:\\[ ]|[^\s&;"'<>])+
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)

# An authorization scheme, then its parameters or one word.
_PARAMETER = r"""[\w-]{1,40}=(?:\\{0,63}"[^"\n]*+"?|[^\s,"']*+)"""
_AUTHORIZATION = lazy(
    rf"""([A-Za-z][\w-]{{1,24}})[ ]{{1,4}}(?:{_PARAMETER}(?:,[ ]{{0,4}}{_PARAMETER})*+|[^\s"'<>,;]+)"""
)
_PAIR = r"""[^\s;,"'=]+(?:=(?:\\{0,63}"[^"\n]*+"?|[^;"'\n]{0,1024}+(?=;)|[^\s;"']*+))?"""
_COOKIES = lazy(rf"{_PAIR}(?:;[ \t]{{0,4}}{_PAIR})*+")
_BRACKETS = lazy(
    r"""(?P<open>[\[{(])|(?P<close>[\]})])|"(?:[^"\\]|\\++.)*+(?:"|\\?\Z)|'(?:[^'\\]|\\++.)*+(?:'|\\?\Z)""",
    re.DOTALL,
)


def value_span(text: str, start: int, key: str, harmless: frozenset[str]) -> tuple[int, int] | None:
    """Return the span of a value.

    Args:
        text: Any text.
        start: The position after the separator.
        key: The secret's name, in lower case.
        harmless: Words that are not secrets.

    Returns:
        The span, or ``None`` if nothing is masked.
    """
    if key.endswith(("cookie", "cookies")) and text[start : start + 1] not in "\"'`b[{(<\\":
        found = _COOKIES.match(text, start)
        return None if found is None else _unquoted_span(text, found.start(), found.end(), harmless)
    if key.endswith("authorization") and text[start : start + 7].lower() not in ("digest ", "aws4-hm"):
        found = _AUTHORIZATION.match(text, start)
        if found is not None and found[1].lower() not in PROSE:
            return _unquoted_span(text, found.start(), found.end(), harmless)
    found = _VALUE.match(text, start)
    if found is None:
        return None
    for opening, closing in (("open", "close"), ("open2", "close2"), ("open3", "close3")):
        if found[opening] is not None:
            return (found.end(opening), found.start(closing))
    if found["bracket"] is not None:
        return (found.start(), balanced_end(text, found.end() - 1))
    return _unquoted_span(text, found.start(), found.end(), harmless)


def _unquoted_span(text: str, begin: int, end: int, harmless: frozenset[str]) -> tuple[int, int] | None:
    end = begin + len(text[begin:end].rstrip(",.)]}:")) or end
    return None if text[begin:end].lower() in harmless or end == begin else (begin, end)


def balanced_end(text: str, start: int) -> int:
    """Return the position after the closing bracket; the end of the text if there is none.

    Args:
        text: Any text.
        start: The position of the opening bracket.
    """
    depth = 0
    for found in _BRACKETS.finditer(text, start):
        if found["open"] is not None:
            depth += 1
        elif found["close"] is not None:
            depth -= 1
            if depth <= 0:
                return found.end()
    return len(text)


def mask_spans(text: str, spans: list[tuple[int, int]]) -> str:
    """Return a text with masked spans.

    Args:
        text: Any text.
        spans: Beginnings and ends, in any order.
    """
    parts: list[str] = []
    done = 0
    for begin, end in sorted(spans):
        if begin == end:
            continue  # an empty value in quotes
        if begin > done or not parts:
            parts += (text[done:begin], MASK)
        done = max(done, end)
    parts.append(text[done:])
    return "".join(parts)
