"""Secrets in free text: log messages, exception messages, JSON, header dumps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from eco2_tracing._redaction._extent import LITERALS, PROSE, value_span
from eco2_tracing._redaction._keys import COOKIES, EXACT, MASK, STRONG, words

# The forms: `"name": `, where a value may stand on the next line; `name = `; `name%3D`; `<name>`; and
# `--name value`, `name 'value'`, which take a second look.
_SEPARATOR = r"""
    (?: (?:\\{0,7}["'])(?:\s|\\{1,4}[nrt]){0,32}(?:=>|->|[:=]=?)(?:\s|\\{1,4}[nrt]){0,32}
      | [ \t]{0,4}(?:=>|->|[:=]=?|%3d|%3a|%253d)(?:[ \t]|%20){0,4}
      | >(?=[^\s<=])
      | [ \t]{1,4}(?=[^\s=:,.)]) )
"""
# A header as a pair: ("authorization", "Bearer ...") or [b"cookie", b"..."].
_PAIRED = r"""(?:(?<=authorization)|(?<=cookie)|(?<=key)|(?<=token))["'][ \t]{0,4},[ \t]{0,4}(?=b?["'])"""

_SCHEME = re.compile(
    r"\b(bearer|basic)([ \t]{1,4}|(?:\\{1,4}r|\r)?(?:\\{1,4}n|\n)[ \t]{1,8}|%20|\+)([\w.~+/=-]{4,})"
)
_JWT = re.compile(r"(?<![\w-])eyj[\w-]{8,}\.[\w-]{4,}\.?[\w-]*")
_PEM = re.compile(r"(-----begin [a-z ]{0,40}private key(?: block)?-----).*?(?:(?=-----end)|\Z)", re.DOTALL)
_LONGEST_NAME = 64
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
        joined = "|".join(sorted(names, key=len, reverse=True))
        self._keys = re.compile(
            rf"(?P<key>(?:{joined})\d{{0,2}})(?P<separator>{_PAIRED}|{_SEPARATOR})", re.VERBOSE
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
        if "bearer" in low or "basic" in low:
            spans += _schemes(text, low)
        if "eyj" in low:
            spans += [found.span() for found in _JWT.finditer(low)]
        if "private key" in low:
            spans += [(found.end(1), found.end()) for found in _PEM.finditer(low)]
        return _covered(text, spans) if spans else text

    def _named(self, text: str, low: str) -> list[tuple[int, int]]:
        """Find the values that stand behind a secret's name."""
        spans: list[tuple[int, int]] = []
        at = 0
        while found := self._keys.search(low, at):
            at = found.end("key")
            begin = _begin_of_name(low, found.start())
            separator = found["separator"]
            if not _is_separator(low, begin, found) or not self._is_secret(text[begin:at]):
                continue
            harmless = LITERALS if "=" in separator or "%" in separator else PROSE
            span = value_span(text, found.end(), found["key"], harmless)
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
    return begin


def _is_separator(low: str, begin: int, found: re.Match[str]) -> bool:
    """Tell whether what follows a name gives it a value, where that is not plain."""
    separator = found["separator"]
    if separator == ">":
        return begin > 0 and low[begin - 1] in "<:"
    if not separator.strip():
        quoted = low[found.end()] in "\"'" and found["key"].startswith(("pass", "pwd", "identified"))
        return quoted or low.startswith("--", begin)
    return True


def _schemes(text: str, low: str) -> list[tuple[int, int]]:
    """Find credentials behind `Bearer` and `Basic` that look like such, not like prose."""
    spans = []
    for found in _SCHEME.finditer(low):
        value = text[found.start(3) : found.end(3)]
        if value.lower().rstrip(".") in PROSE or (found[1] == "basic" and _is_word(value)):
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
    """Give the longest word of each additional name: what a literal look-up searches for."""
    return tuple({max(split, key=len) for split in map(words, extra)})
