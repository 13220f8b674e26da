"""Finds the beginning and the end of the value after a secret's name, and detects words of prose there."""

from __future__ import annotations

import re

from eco2_tracing._redaction.keys import KOREAN, MASK, OTHER_SIGNATURES, OTHER_TOKENS
from eco2_tracing._redaction.lazy import lazy

# After one of these words, `token` is a parser's term: "unexpected token: foo", "first token: 120 ms".
_PARSER_WORD = lazy(
    r"\b(?:bad|expected|first|illegal|invalid|last|missing|next|previous|unexpected|unknown|unrecognized)[ ]\Z"
)
_OPAQUE = lazy(r"(?=[^\s\d]{0,64}\d)[\w.~+/=-]{12,}")
_WORD = lazy(r"[a-z]{1,20}\Z")
_MARK = lazy(r"</?[a-z_ |]{1,16}>\Z")
_HANGUL = lazy(r"\d{0,3}[\uac00-\ud7a3]+\Z")
_FEW_DIGITS = lazy(r"\d{1,3}\Z")
_KEYS_WITH_COUNTS = frozenset((
    "pass", "sig", "pw", "signature", "otp", "cookies", "credentials", "passwords", "secrets",
))  # fmt: skip
_DIRECTORY = lazy(r"(?:/[a-z._-]{1,32}){1,8}/?\Z")  # the shell's variable `PWD` is a directory
_ANNOTATION = lazy(r"(?:annotated|dict|list|literal|optional|sequence|tuple|type|union)\[")
_SHORT_WORD = lazy(r"[a-z]{1,10}\Z")
_STARS = lazy(r"[*\u2022]+\Z")
_METHOD_AND_FIELD = lazy(r"(?:basic|negotiate|apikey|digest) [a-z_]{1,16}=[^=]")
_METHODS = frozenset((
    "apikey", "basic", "digest", "jwt", "kerberos", "ldap", "mtls", "ntlm", "oauth", "oauth2", "saml2",
))  # fmt: skip


def is_prose(low: str, key: str, value: str, before: str, *, colon: bool) -> bool:
    """Return True if a value without quotes after a name, and after a colon or an equals sign, is a word of prose.

    The key is the end of the name that makes it secret. All texts are in lower case.
    """
    if _STARS.match(value) or (colon and _ANNOTATION.match(value)):
        return True
    if low == "pwd":
        return not colon and _DIRECTORY.match(value) is not None
    if low.endswith(" token"):  # `id token`, found at the end of "invalid token"
        before, low = before + low[: -len("token")], "token"
    word = before.rstrip().rpartition(" ")[2] if colon else ""
    if key.endswith("token"):
        if _MARK.match(value):
            return True
        is_other = word in OTHER_TOKENS or _PARSER_WORD.search(before) is not None
        return low == "token" and is_other and _OPAQUE.match(value) is None
    if key.endswith("auth"):
        return (
            value in _METHODS or _WORD.match(value) is not None or _METHOD_AND_FIELD.match(value) is not None
        )
    if key in _KEYS_WITH_COUNTS and low == key and _FEW_DIGITS.match(value):
        return True
    if key in ("sig", "signature") and low == key:
        return word in OTHER_SIGNATURES or _SHORT_WORD.match(value) is not None
    if key == "credentials" and value in ("include", "omit", "same-origin"):  # of the Fetch API
        return True
    if low.endswith(KOREAN):
        return _HANGUL.match(value) is not None
    return colon and key.startswith(("signature", "credential")) and (_WORD.match(value) is not None)


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
    """Return the span of a value that begins after a separator; ``None`` if nothing is masked.

    The key is the secret's name, in lower case. Harmless words are not secrets.
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
    """Return the position after the bracket that closes the one at ``start``; the end of the text without one."""
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
    """Return a text with masked spans, which may be in any order."""
    if not spans:
        return text
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
