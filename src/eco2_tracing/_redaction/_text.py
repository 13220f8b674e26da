"""Secrets in free text: log messages, exception messages, JSON, header dumps."""

from __future__ import annotations

import re
from collections.abc import Iterable

from eco2_tracing._redaction._keys import EXACT, MASK, STRONG, words

# Behind a colon, a value that is one of these words is prose or source code: "token: expired", "token: str".
_PROSE = frozenset((
    "a", "an", "any", "are", "authentication", "authorization", "bool", "bytes", "cannot", "empty",
    "error", "expired", "failed", "false", "has", "header", "in", "int", "invalid", "is", "malformed",
    "mismatch", "missing", "must", "no", "none", "not", "null", "of", "ok", "optional", "or", "rejected",
    "required", "revoked", "scheme", "secretstr", "str", "string", "token", "tokens", "too", "true",
    "undefined", "unknown", "unsupported", "valid", "was",
))  # fmt: skip
_LITERALS = frozenset(("none", "null", "true", "false", "undefined"))
_SEPARATOR = r"""(?:(?:\\{0,3}["'])?[ \t]{0,4}(?:=>|[:=]=?)[ \t]{0,4})"""
# A header as a pair: ("authorization", "Bearer ...") or [b"cookie", b"..."].
_PAIRED = r"""(?:(?<=authorization)|(?<=cookie)|(?<=key))["'][ \t]{0,4},[ \t]{0,4}(?=b?["'])"""

# Each alternative accepts the end of the text as its closing mark: nothing backtracks over a tail.
_VALUE = re.compile(
    r"""
      (?P<open>b?")(?:[^"\\]|\\.)*+(?P<close>"|\\?\Z)
    | (?P<open2>b?')(?:[^'\\]|\\.)*+(?P<close2>'|\\?\Z)
    | (?P<open3>\\{1,3}["']).*?(?P<close3>(?P=open3)|\Z)
    | (?:digest|aws4-hmac-sha256)[ ][^\n]*
    | (?:bearer|basic|negotiate|apikey|token)[ ]{1,4}[^\s"'<>]+
    | [\[{][^\]}\n]*+[\]}]?
    | [^\s&;"'<>]+
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_COOKIES = re.compile(r"""[^\s;,"']+(?:;[ ]?[^\s;="']+(?:=[^\s;"']*)?)*""")
_SCHEME = re.compile(r"\b(bearer|basic)([ \t]{1,4}|%20|\+)([\w.~+/=-]{4,})")
_JWT = re.compile(r"(?<![\w-])eyj[\w-]{8,}\.[\w-]{4,}\.?[\w-]*")
_PEM = re.compile(r"(-----begin [a-z ]{0,40}private key-----).*?(?:(?=-----end)|\Z)", re.DOTALL)
# Each built-in name contains one of these: what the literal look-up searches for.
_STEMS = ("token", "key", "pass", "secret", "authorization", "cookie", "pwd", "sig", "credential", "verifier")
_LONGEST_NAME = 64
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class FreeText:
    """Masks secrets in free text.

    Every pattern runs on the lower-case text, which spares slow case-insensitive search, and
    only where a literal look-up found one of its words.

    Args:
        extra: More names whose values are masked.
    """

    __slots__ = ("_exact", "_keys", "stems")

    def __init__(self, extra: Iterable[str] = ()) -> None:
        exact = [*EXACT, *extra]
        self._exact = frozenset("".join(words(key)) for key in exact)
        names = sorted({"[-_ ]?".join(map(re.escape, words(key))) for key in (*STRONG, *exact)})
        names.sort(key=len, reverse=True)
        self._keys = re.compile(f"(?P<key>{'|'.join(names)})(?P<separator>{_PAIRED}|{_SEPARATOR})")
        self.stems = _stems(extra)

    def mask(self, text: str, low: str) -> str:
        """Mask all forms.

        Args:
            text: Any text.
            low: The same text in lower case.
        """
        if len(low) != len(text):  # some letters grow in lower case; ASCII alone keeps positions
            low = text.translate(_ASCII_LOWER)
        spans = self._named(text, low)
        if "bearer" in low or "basic" in low:
            spans += _schemes(text, low)
        if "eyj" in low:
            spans += [found.span() for found in _JWT.finditer(low)]
        if "private key-----" in low:
            spans += [(found.end(1), found.end()) for found in _PEM.finditer(low)]
        return _covered(text, spans) if spans else text

    def _named(self, text: str, low: str) -> list[tuple[int, int]]:
        """Find the values that stand behind a secret's name."""
        spans: list[tuple[int, int]] = []
        at = 0
        while found := self._keys.search(low, at):
            at = found.end("key")
            if not self._is_whole(text, found.start(), found["key"]):
                continue
            harmless = _PROSE if ":" in found["separator"] else _LITERALS
            span = _value_span(text, found.end(), found["key"], harmless)
            if span is not None:
                spans.append(span)
                # The end of a value can be the name of the next: `token= "password": "x"`.
                at = max(span[0], span[1] - _LONGEST_NAME)
        return spans

    def _is_whole(self, text: str, start: int, key: str) -> bool:
        """Tell whether the name begins here: at a separator, or where camel case turns."""
        if start == 0:
            return True
        before = text[start - 1]
        if before.isalnum():
            return before.islower() and text[start].isupper()
        return before not in "_-" or "".join(words(key)) not in self._exact


def _value_span(text: str, start: int, key: str, harmless: frozenset[str]) -> tuple[int, int] | None:
    pattern = _COOKIES if key.endswith("cookie") and text[start : start + 1] not in "\"'b" else _VALUE
    found = pattern.match(text, start)
    if found is None:
        return None
    begin, end = found.span()
    for opening, closing in (("open", "close"), ("open2", "close2"), ("open3", "close3")):
        if pattern is _VALUE and found[opening] is not None:
            return (found.end(opening), found.start(closing))
    end = begin + len(text[begin:end].rstrip(",.)]}:")) or end
    if text[begin] in "[{":
        end = found.end()
    return None if text[begin:end].lower() in harmless or end == begin else (begin, end)


def _schemes(text: str, low: str) -> list[tuple[int, int]]:
    """Find credentials behind `Bearer` and `Basic` that look like such, not like prose."""
    spans = []
    for found in _SCHEME.finditer(low):
        value = text[found.start(3) : found.end(3)]
        if value.lower().rstrip(".") in _PROSE or (found[1] == "basic" and _is_word(value)):
            continue
        spans.append(found.span(3))
    return spans


def _is_word(value: str) -> bool:
    """Tell a word ("Basic authentication") from base64, which mixes cases and digits."""
    tail = value[1:].rstrip(".")
    return tail.islower() and tail.replace("-", "").isalpha()


def _covered(text: str, spans: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    done = 0
    for begin, end in sorted(spans):
        if begin == end:
            continue  # an empty text in quotes hides nothing
        if begin > done or not parts:
            parts += (text[done:begin], MASK)
        done = max(done, end)
    parts.append(text[done:])
    return "".join(parts)


def _stems(extra: Iterable[str]) -> tuple[str, ...]:
    """Add to the stems the longest word of each name that contains none of them."""
    stems = [*_STEMS]
    for split in map(words, extra):
        if not any(stem in word for stem in stems for word in split):
            stems.append(max(split, key=len))
    return tuple(stems)
