"""Secrets in URLs and query strings; all other bytes stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from eco2_tracing._redaction._keys import MASK

# The second form is a password with an unescaped `/`, `?` or `#`: what follows the colon is no port.
_USERINFO = re.compile(
    r"""(:\\{0,4}/\\{0,4}/|(?:\A|(?<=["'\s]))//)
    (?: [^\s/?\#"'<>\\]{1,2048}@
      | [^\s/?\#:@"'<>\\\[]{0,256}:(?!\d{0,5}(?:[/?\#\s]|\Z))[^\s@"'<>]{1,256}@
    )""",
    re.VERBOSE,
)
# The same where a URL is percent-encoded, once or again, in whole or in part, as it stands in a path.
_ENCODED_USERINFO = re.compile(
    r"""(?: (%(?:25){0,2}3a(?:/|%(?:25){0,2}2f){2}) | (://) )
    (?:(?!%(?:25){0,2}(?:40|2f|3f|23))[^\s/?\#"'<>&@]){1,512}((?(2)(?!@))(?:%(?:25){0,2}40|@))""",
    re.VERBOSE | re.IGNORECASE,
)
_PARAMETER = re.compile(r"""(?<=[?&;\#])([^\s=&;\#?"'<>]{1,256})=([^\s&;\#"'<>]+)""")
_MASKED_USERINFO = rf"\1{MASK}:{MASK}@"
_DEEPEST = 3


class Urls:
    """Masks URLs and query strings.

    Args:
        is_secret: Tells whether a parameter of this name is masked.
        nested: Masks the decoded value of a parameter: a URL, JSON, or text.
    """

    __slots__ = ("_is_secret", "_nested")

    def __init__(self, is_secret: Callable[[str], bool], nested: Callable[[str, int], str]) -> None:
        self._is_secret = is_secret
        self._nested = nested

    def url(self, url: str, depth: int = 0) -> str:
        """Mask user information, and secrets in query and fragment."""
        url = mask_userinfo(url)
        head, hash_mark, fragment = url.partition("#")
        path, question_mark, query = head.partition("?")
        if ";" in path:
            path = "/".join([self.query(segment, depth) for segment in path.split("/")])
        if query:
            query = self.query(query, depth)
        if "=" in fragment:
            route, mark, rest = fragment.rpartition("?")
            fragment = route + mark + self.query(rest, depth)
        return path + question_mark + query + hash_mark + fragment

    def query(self, query: str, depth: int = 0) -> str:
        """Mask the values of secret parameters, separated by `&` or `;`."""
        parts = query.split("&")
        for at, part in enumerate(parts):
            if "=" in part:
                parts[at] = self._part(part, depth) if ";" in part else self._pair(part, depth)
        return "&".join(parts)

    def _part(self, part: str, depth: int) -> str:
        """Mask pairs separated by `;`, which to some servers is part of the value."""
        masked: list[str] = []
        in_secret = False
        for piece in part.split(";"):
            if "=" not in piece and in_secret:
                continue  # `password=a;b`: the rest of the same secret
            masked.append(self._pair(piece, depth))
            in_secret = masked[-1] != piece and masked[-1].endswith(f"={MASK}")
        return ";".join(masked)

    def _pair(self, pair: str, depth: int) -> str:
        name, equals, value = pair.partition("=")
        if not value:
            return pair
        if self._is_secret(name):
            return name + equals + MASK
        return name + equals + self.value(value, depth)

    def parameters(self, text: str, depth: int) -> str:
        """Mask secret parameters of the query strings inside a longer text."""

        def masked(found: re.Match[str]) -> str:
            return self._pair(found[0], depth)

        return _PARAMETER.sub(masked, text)

    def value(self, value: str, depth: int) -> str:
        """Mask what a parameter's value carries inside, such as a redirect's URL with a token."""
        if depth >= _DEEPEST or not ("=" in value or "%" in value or ":" in value):
            return value
        # Latin-1 both ways keeps each byte of the value, whatever its encoding.
        plain = unquote(value, "latin-1") if "%" in value else value
        masked = self._nested(plain, depth + 1)
        if masked == plain:
            return value
        return quote(masked, safe="", encoding="latin-1", errors="replace") if "%" in value else masked


def mask_userinfo(text: str) -> str:
    """Mask `user:password@` behind each `://`."""
    if "@" in text and ("//" in text or "/\\" in text):
        text = _USERINFO.sub(_MASKED_USERINFO, text)
    if "%" in text and "40" in text:
        text = _ENCODED_USERINFO.sub(_mask_encoded, text)
    return text


def _mask_encoded(found: re.Match[str]) -> str:
    return f"{found[1] or found[2]}{MASK}{found[3]}"
