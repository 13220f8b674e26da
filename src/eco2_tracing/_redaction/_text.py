"""Secrets in free text: log messages, exception messages, JSON, header dumps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from eco2_tracing._redaction._extent import LITERALS, PROSE, covered, value_span
from eco2_tracing._redaction._forms import formed, has_form
from eco2_tracing._redaction._keys import AFTER, COOKIES, EXACT, STRONG, words

# A quote as it is, behind the backslashes of `repr` and JSON in JSON, and as HTML, JSON and URLs spell it.
_QUOTE = r"""(?:\\{0,63}["'`]|&quot;|&\#3[49];|\\{1,4}u0022|%22)"""
_SPACE = r"(?:\s|\\{1,4}[nrt]){0,32}"
_BLANK = r"(?:[^\S\r\n]|%20|\\{1,4}t){0,4}"
# The forms: `"name": `, where a value may stand on the next line; `"name": "password", "value": `;
# `name = `; `name%3D`; `<name>`; and `--name value`, `name 'value'`, which take a second look.
_SEPARATOR = rf"""
    (?: {_QUOTE} {_SPACE}(?:,{_SPACE})?(?:{_QUOTE}|(?<=\s))value{_QUOTE}?{_SPACE}[:=]{_SPACE}
      | {_QUOTE} {_SPACE}(?:=>|->|[:=]=?){_SPACE}
      | {_QUOTE}[ \t]{{0,4}}>(?=[^\s<=])
      | [ \t]{{0,4}}(?:\\{{1,4}}t)?(?:=>|->|[:=]=?|%(?:25){{0,2}}3[ad]|\\{{1,4}}u003d){_BLANK}
      | (?:(?<!cookie)[ ][^<>\n]{{0,200}})?>(?:<!\[cdata\[)?(?=[^\s<=])
      | [ \t]{{1,4}}(?:(?:is|was)[ \t]{{1,4}}(?={_QUOTE})|provided:[ \t]{{1,4}})
      | [ \t]{{1,4}}(?=[^\s=:,.)]) )
"""
# A pair, as of a header or of a form's field: ("authorization", "Bearer ...") or [b"cookie", b"..."].
_PAIRED = rf"{_QUOTE}[ \t]{{0,4}},[ \t]{{0,4}}(?=b?{_QUOTE})(?!{_QUOTE}value)"
_ALWAYS_PAIRED = ("authorization", "cookie", "key", "token")

_LONGEST_NAME = 64
_OPAQUE = re.compile(r"""\\{0,63}["'`](?=[^"'`]{0,200}\d)[\w.~+/=-]{8,}["'`\\]""")
_REST = re.compile(r"""[^;\n"'<>\\]{1,256}(?=;|\Z)""")
_BRACED = re.compile(r"\{(?:[^}]|\}\})*+\}?")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class FreeText:
    """Masks secrets in free text.

    Every pattern runs on the lower-case text, which spares slow case-insensitive search, and
    only where a literal look-up found one of its words.

    Args:
        is_secret: Tells whether values under a name are masked.
        extra: The names that it knows beside the built-in ones.

    Attributes:
        stems: A text with an additional name in it contains one of these.
    """

    __slots__ = ("_is_secret", "_keys", "stems")

    def __init__(self, is_secret: Callable[[str], bool], extra: Iterable[str] = ()) -> None:
        self._is_secret = is_secret
        extra = tuple(extra)
        names = {"[-_. ]?".join(map(re.escape, words(key))) for key in (*STRONG, *EXACT, *COOKIES, *extra)}
        joined = _alternatives(sorted(names, key=len, reverse=True))
        after = rf"(?:[-_.]?(?:{'|'.join(AFTER)}))?(?:[-_]?\d{{1,3}})?"
        self._keys = re.compile(
            rf"(?P<key>(?:{joined}){after})(?:(?P<pair>{_PAIRED})|(?P<separator>{_SEPARATOR}))", re.VERBOSE
        )
        self.stems = _stems(extra)

    def mask(self, text: str, low: str) -> str:
        """Mask all forms.

        Args:
            text: Any text.
            low: The same text in lower case.
        """
        low = lowered(text, low)
        spans = self._named(text, low)
        if has_form(low):
            spans += formed(text, low)
        return covered(text, spans) if spans else text

    def _named(self, text: str, low: str) -> list[tuple[int, int]]:
        """Find the values that stand behind a secret's name."""
        spans: list[tuple[int, int]] = []
        at = 0
        while found := self._keys.search(low, at):
            at = found.end("key")
            begin = _begin_of_name(low, found.start())
            if not _is_separator(low, begin, found) or not self._is_secret(text[begin:at]):
                continue
            span = _extent(text, low, begin, found)
            if span is not None:
                spans.append(span)
                # The end of a value can be the name of the next: `token= "password": "x"`.
                at = max(at, span[0], span[1] - _LONGEST_NAME)
        return spans


def lowered(text: str, low: str) -> str:
    """Give a lower-case text of the same length: some letters grow, ASCII alone keeps positions.

    Args:
        text: Any text.
        low: The same in lower case.
    """
    return low if len(low) == len(text) else text.translate(_ASCII_LOWER)


def _begin_of_name(low: str, at: int) -> int:
    """Go back to where the name begins that ends with a secret's: `github_` of `github_token`."""
    begin = at
    first = max(0, at - _LONGEST_NAME)
    while begin > first and (low[begin - 1].isalnum() or low[begin - 1] in "_-."):
        begin -= 1
    if low[begin - 1 : begin] == "%":
        begin = min(at, begin + 2)  # the digits of an encoded character
    return begin


def _is_separator(low: str, begin: int, found: re.Match[str]) -> bool:
    """Tell whether what follows a name gives it a value, where that is not plain."""
    separator, key = found["separator"], found["key"]
    before = low[begin - 1 : begin]
    if separator is None:
        return key.endswith(_ALWAYS_PAIRED) or low[max(0, begin - 66) : begin].rstrip("\\\"'`b").endswith(
            ("(", "[")
        )
    if _is_tag(separator):
        return before in ("<", ":") or separator[0] in "\"'\\"
    if key in ("auth", "pw"):  # words of prose, too
        return "=" in separator or separator[0] in "\"'\\" or low[found.end() : found.end() + 1] in "\"'"
    if not separator.strip():
        if low[found.end()] in "\"'\\`":
            return (
                key.startswith(("pass", "pwd", "identified")) or _OPAQUE.match(low, found.end()) is not None
            )
        return "--" in low[begin : begin + 2] + low[found.start() - 2 : found.start()] or (
            key == "cookie" and before == "<"
        )
    return True


def _is_tag(separator: str) -> bool:
    return separator.endswith((">", "[cdata[")) and not separator.endswith(("->", "=>"))


def _extent(text: str, low: str, begin: int, found: re.Match[str]) -> tuple[int, int] | None:
    """Find the value behind a name and its separator."""
    separator, key = found["separator"], found["key"]
    start = found.end()
    if separator is not None and _is_tag(separator):
        end = low.find("<", start)
        return (start, len(low) if end < 0 else end)
    harmless = LITERALS if separator is None or "=" in separator or "%" in separator else PROSE
    if low[begin - 1 : begin] == ";" and separator == "=":  # a connection string
        rest = _BRACED.match(text, start) or _REST.match(text, start)
        if rest is not None:
            return rest.span()
    span = value_span(text, start, key, harmless)
    if separator is None and span is not None and not key.endswith(_ALWAYS_PAIRED):
        # A list of columns goes on; a pair ends here.
        return span if text[span[1] : span[1] + 66].lstrip("\\\"'`")[:1] in (")", "]") else None
    return span


def _stems(extra: Iterable[str]) -> tuple[str, ...]:
    """Give the longest word of each additional name: what a literal look-up searches for."""
    return tuple({max(split, key=len) for split in map(words, extra)})


def _alternatives(names: Iterable[str]) -> str:
    """Join names by their first letter: at each place one look, not one for each name."""
    letters: dict[str, list[str]] = {}
    for name in names:
        letters.setdefault(name[0], []).append(name[1:])
    return "|".join(f"{letter}(?:{'|'.join(rests)})" for letter, rests in letters.items())
