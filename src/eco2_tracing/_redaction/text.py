"""Masks secrets in free text: log messages, exception messages, JSON and header dumps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from eco2_tracing._redaction.extent import LITERALS, PROSE, is_prose, mask_spans, value_span
from eco2_tracing._redaction.forms import find_forms
from eco2_tracing._redaction.keys import (
    COOKIES,
    EXACT,
    KOREAN,
    KOREAN_ENCODED,
    KOREAN_ESCAPED,
    STRONG,
    SUFFIXES,
    has_korean,
    words,
)
from eco2_tracing._redaction.kinds import find_opaque
from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import CHEAP, OMITTED, PLACE, Budget
from eco2_tracing._redaction.tokens import alternatives

# A quote, with the backslashes of `repr` or nested JSON, or as an escape of HTML, JSON or URLs.
_QUOTE = r"""(?:\\{0,63}["'`]|&quot;|&\#3[49];|\\{1,4}u0022|%22)"""
_SPACE = r"(?:\s|\\{1,4}[nrt]){0,32}"
_BLANK = r"(?:[^\S\r\n]|%20|\\{1,4}t){0,4}"
_ASSIGNS = r"(?:=>|->|::(?=[ ])|[:=]=?|%(?:25){0,2}3[ad])"
# The forms: `"name": ` with the value on the same or the next line, `name = `, `name%3D`, `<name>`, and
# `--name value` and `name 'value'`, which need further checks.
_SEPARATOR = rf"""
    (?: {_QUOTE} {_SPACE}{_ASSIGNS}{_SPACE}
      | {_QUOTE}[ \t]{{0,4}}>(?=[^\s<=])
      | :[ ]{{0,4}}(?:\n|\\{{1,4}}n)[ \t]{{1,8}}(?:-[ ]{{1,4}})?(?=[^\s:\#-][^\s:]{{0,255}}(?:\n|\Z))
      | (?:\[[\w-]{{0,16}}\])?[ \t]{{0,4}}(?:\\{{1,4}}t)?(?:{_ASSIGNS}|\\{{1,4}}u003d){_BLANK}
      | (?:(?<!cookie)[ ](?:[\w:.-]{{1,40}}(?:=[^<>\n]{{0,160}})?)?[ ]?)?>(?:<!\[cdata\[)?(?=[^\s<=])
      | [ \t]{{1,4}}(?:(?:is|was)[ \t]{{1,4}}(?={_QUOTE})|provided:[ \t]{{1,4}})
      | (?:[은는이가]|\\{{1,4}}u(?:c740|b294|c774|ac00))[ ]{{1,4}}(?={_QUOTE})
      | [ \t]{{1,4}}(?=[^\s=:,.)]) )
"""
# A name and its value as two fields: `"name": "password", "value": `, also with other fields between them;
# `name: password` with `value: ` on the next line; `<name>password</name><value>`; and multipart forms, where an empty
# line follows `name="password"`.
_FIELD = rf"""{_QUOTE}[\w.-]{{1,32}}{_QUOTE}[ ]{{0,4}}:[ ]{{0,4}}(?:{_QUOTE}[^"'\n\\]{{0,64}}{_QUOTE}|[\w.-]{{1,32}})"""
_NAMED = rf"""
    (?: {_QUOTE}?(?:</\w{{1,16}}>)?{_SPACE}(?:[,;&]{_SPACE})?(?:{_FIELD}[ ]{{0,4}},{_SPACE}){{0,3}}
        (?:{_QUOTE}|<|(?<=[\s&]))(?:values?|default|content|v){_QUOTE}?{_SPACE}(?:[:=]{_SPACE}|>)
      | {_QUOTE}(?:(?:\\{{1,4}}r|\r)?(?:\\{{1,4}}n|\n)){{2}} )
"""
_BEFORE_NAMED = lazy(
    rf"(?:name|key|header|field|param(?:eter)?|property|variable|id|k){_QUOTE}?[ ]{{0,4}}[:=>][ ]{{0,4}}(?:{_QUOTE}|)\Z"
)
# The same fields with the value first.
_REVERSED = lazy(
    rf"""value{_QUOTE}[ ]{{0,4}}[:=][ ]{{0,4}}{_QUOTE}(?P<value>[^"'\n\\]{{1,1024}}){_QUOTE}[ ]{{0,4}},{_SPACE}
         {_QUOTE}(?:name|key|header|field){_QUOTE}[ ]{{0,4}}[:=]
         [ ]{{0,4}}{_QUOTE}(?P<name>[^"'\n\\]{{1,64}}){_QUOTE}""",
    re.VERBOSE,
)
# A pair, such as a header or a form field: ("authorization", "Bearer ...") or [b"cookie", b"..."].
_PAIRED = rf"{_QUOTE}{{1,2}}[ \t]{{0,4}},[ \t]{{0,4}}(?=b?{_QUOTE})(?!{_QUOTE}value)"
# The first character of each of the three. Most names are rejected by this check.
_FIRST_AFTER = r"""[\s\\"'`&<>,;:=%\[은는이가-]"""
_ALWAYS_PAIRED = ("authorization", "cookie", "key", "token")

_LONGEST_NAME = 64
_MOST_SECRETS = 256
_LONGEST_SIGN = 2

_OPAQUE = lazy(r"""\\{0,63}["'`](?=[^"'`]{0,200}\d)[\w.~+/=-]{8,}["'`\\]""")
_REST = lazy(r"""[^;\n"'<>\\]{1,256}(?=;|\Z)""")
# The first value of a connection string. Another `name=` follows it.
_FIRST = lazy(r"""([^;\n"&<>\\(){}\[\]]{1,128});[ ]{0,4}[a-z][a-z ]{0,24}=""")
# netrc's `login bob password x`, Dockerfile's `ENV DB_PASSWORD x`, `setx`, `aws configure set`, FastCGI.
_BEFORE_ARGUMENT = lazy(
    r"(?:\blogin[ ]\S{1,64}[ ]|(?:\A|\n|[ \"'])"
    r"(?:env|setenv|setx|fastcgi_param|config(?:ure)?(?:[ ](?:set|--?[a-z]{1,16})){1,3})[ ]{1,4}"
    r"(?:[^\s=]{1,48}[:.])?)\Z"
)
_BRACED = lazy(r"\{(?:[^}]|\}\})*+\}?")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class FreeText:
    """Masks secrets in free text: values of the built-in and of extra names, and secrets of known forms.

    Patterns run on the lower-case text, because case-insensitive search is slow. They run only if a literal search
    has found one of their words.
    """

    __slots__ = ("_compiled", "_extra", "_is_secret", "stems")

    def __init__(self, is_secret: Callable[[str], bool], extra: Iterable[str] = ()) -> None:
        self._is_secret = is_secret
        self._extra = tuple(extra)
        self._compiled: tuple[re.Pattern[str], re.Pattern[str]] | None = None
        self.stems = tuple({max(split, key=len) for split in map(words, self._extra)})  # their longest words

    def has_name(self, low: str) -> bool:
        """Return True if a text may hold one of the names. It is fast, because it is called for each line."""
        # Each built-in name contains one of these. Shared letters are searched first. A loop takes twice as long.
        return (
            ("k" in low and ("token" in low or "key" in low or "cookie" in low))
            or ("ss" in low and ("pass" in low or "sessi" in low or "asserti" in low))
            or ("cre" in low and ("secret" in low or "credential" in low))
            or "ifie" in low or "sig" in low or "pw" in low or "otp" in low or "cv" in low or "card" in low
            or "saml" in low
            or ("auth" in low and (  # as the name of a value, not as a word of prose
                "authoriz" in low or "auth=" in low or "auth'" in low or 'auth"' in low or "auth\\" in low
                or "x-auth" in low
            ))
            or ((not low.isascii() or "\\u" in low or "%e" in low) and has_korean(low))
            or (self.stems != () and any(stem in low for stem in self.stems))
        )  # fmt: skip

    def mask(self, text: str, low: str, budget: Budget) -> str:
        """Return a text with masked values of secret names and masked secrets of known forms."""
        spans: list[tuple[int, int]] = []
        end = self._named(text, low, spans, budget)
        if end < len(text):
            text, low = text[:end] + OMITTED, low[:end] + OMITTED
        if 'value"' in low or "value'" in low or "value\\" in low:
            spans += [one.span("value") for one in _REVERSED.finditer(low) if self._is_secret(one["name"])]
        spans += find_opaque(text, low, budget)
        spans += find_forms(text, low, budget)
        return mask_spans(text, spans)

    def _named(self, text: str, low: str, spans: list[tuple[int, int]], budget: Budget) -> int:
        """Add the spans of values after a secret's name. Return the position where the search ended."""
        at = 0
        names, named = self._keys()
        search, match = names.search, named.match
        while (name := search(low, at)) is not None:
            at = name.start()
            if budget.left <= 0 or len(spans) == _MOST_SECRETS:
                return max(at, spans[-1][1] if spans else 0)
            budget.left -= 2 * CHEAP
            found = match(low, at)
            if found is None:
                at += 1
                continue
            budget.left -= PLACE - 2 * CHEAP
            at = found.end("key")
            begin = _name_start(low, found.start())
            if not _is_separator(low, begin, found) or not self._is_secret(text[begin:at].lstrip("-")):
                continue
            span = _value_extent(text, low, begin, found)
            if span is not None:
                spans.append(span)
                # The end of a value can be the name of the next: `token= "password": "x"`.
                at = max(at, span[0], span[1] - _LONGEST_NAME)
        return len(text)

    def _keys(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """Return the pattern of a name, and the pattern of a name with its separator."""
        if self._compiled is None:
            keys = (*STRONG, *EXACT, *COOKIES, *KOREAN, *self._extra)
            names = {"[-_. ]?".join(map(re.escape, words(key))) for key in keys}
            # One pattern for all escaped names, and one for all encoded names, because they share their beginning.
            escaped = "|".join(name[2:].replace("\\", r"\\{1,4}") for name in KOREAN_ESCAPED)
            encoded = "|".join(name[1:] for name in KOREAN_ENCODED)
            names |= {rf"\\{{1,4}}u(?:{escaped})", f"%(?:{encoded})"}
            joined = alternatives(sorted(names, key=len, reverse=True))
            after = rf"(?:[-_.]?(?:{alternatives(SUFFIXES)})|[-_]?\d{{1,3}}){{0,3}}"
            name = f"(?P<key>(?:{joined}){after})(?={_FIRST_AFTER})"
            following = f"(?:(?P<named>{_NAMED})|(?P<pair>{_PAIRED})|(?P<separator>{_SEPARATOR}))"
            self._compiled = re.compile(name), re.compile(name + following, re.VERBOSE)
        return self._compiled


def lowered(text: str) -> str:
    """Return a text in lower case, of the same length. Only ASCII letters change if others would change the length."""
    low = text.lower()
    return low if len(low) == len(text) else text.translate(_ASCII_LOWER)


def _name_start(low: str, at: int) -> int:
    """Return the beginning of the whole name that ends with a secret's name: `github_token` for `token`."""
    begin = at
    first = max(0, at - _LONGEST_NAME)
    while begin > first and (low[begin - 1].isalnum() or low[begin - 1] in "_-."):
        begin -= 1
    if low[begin - 1 : begin] == "%":
        begin = min(at, begin + 2)  # the two digits belong to an encoded character
    return begin


def _is_separator(low: str, begin: int, found: re.Match[str]) -> bool:
    """Return True if the text after a name assigns a value to it."""
    separator, key = found["separator"], found["key"]
    before = low[begin - 1 : begin]
    if found["named"] is not None:
        is_quoted = found["named"][0] in "\"'\\`&%"
        return is_quoted or _BEFORE_NAMED.search(low, max(0, begin - 32), begin) is not None
    if separator is None:
        opening = low[max(0, begin - 66) : begin].rstrip("\\\"'`b")[-1:]
        return key.endswith(_ALWAYS_PAIRED) or low[begin] == "-" or opening in ("(", "[")
    if _is_tag(separator):
        return before in ("<", ":") or separator[0] in "\"'\\"
    if key in ("auth", "pw"):  # these are also words of prose
        return "=" in separator or separator[0] in "\"'\\" or low[found.end() : found.end() + 1] in "\"'"
    return bool(separator.strip()) or _is_argument(low, begin, found)


def _is_argument(low: str, begin: int, found: re.Match[str]) -> bool:
    """Return True if a name and the text after a space are an option or a setting with its value."""
    key = found["key"]
    if low[found.end()] in "\"'\\`":
        return key.startswith(("pass", "pwd", "identified")) or _OPAQUE.match(low, found.end()) is not None
    if key == "requirepass" or (key == "cookie" and low[begin - 1 : begin] == "<"):
        return True
    dashes = low[begin : begin + 2] + low[found.start() - 2 : found.start()]
    if "--" in dashes or _BEFORE_ARGUMENT.search(low, max(0, begin - 80), begin) is not None:
        return True
    is_option = low[begin] == "-" and low[begin - 1 : begin] in ("", " ", "'", '"', "[", ",")
    return is_option and low[found.end()] != "-"


def _is_tag(separator: str) -> bool:
    return separator.endswith((">", "[cdata[")) and not separator.endswith(("->", "=>"))


def _value_extent(text: str, low: str, begin: int, found: re.Match[str]) -> tuple[int, int] | None:
    """Return the span of the value after a name and its separator; ``None`` if it is not a secret."""
    named, separator, key = found["named"], found["separator"], found["key"]
    start = found.end()
    if (named is not None and named.endswith(">")) or (separator is not None and _is_tag(separator)):
        end = low.find("<", start)
        return (start, len(low) if end < 0 else end)
    assigned = separator is None or "=" in separator or "%" in separator
    if separator == "=" and (span := _connection_value(text, low, begin, start)) is not None:
        return span
    span = value_span(text, start, key, LITERALS if assigned else PROSE)
    if span is None:
        return None
    if separator is not None and low[start] not in "\"'`\\([{" and separator[0] not in "\"'\\":
        before = low[max(0, begin - 16) : begin]
        if is_prose(low[begin : found.end("key")], key, low[span[0] : span[1]], before, colon=not assigned):
            return None
    if key == "token" and low[start] in "\"'`" and span[1] - span[0] <= _LONGEST_SIGN:
        return None  # a parser's message: unexpected token: ')'
    if found["pair"] is not None and low[begin] != "-":
        after = text[span[1] : span[1] + 66].lstrip("\\\"'`")[:1]
        # A pair ends after the value. A list of columns continues, and a colon follows the name of a field.
        if after == ":" or not (key.endswith(_ALWAYS_PAIRED) or after in (")", "]")):
            return None
    return span


def _connection_value(text: str, low: str, begin: int, start: int) -> tuple[int, int] | None:
    """Return the span of a value in a connection string. It ends with `;` and may hold spaces and quotes."""
    if low[begin - 1 : begin] == ";":
        rest = _BRACED.match(text, start) or _REST.match(text, start)
        return None if rest is None else rest.span()
    first = _FIRST.match(low, start)
    return None if first is None else first.span(1)
