"""Masks secrets in URLs and query strings. All other characters are kept unchanged."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import OMITTED, PLACE, Budget, truncate

# The text of a URL from its authority on. It ends at a quote or an angle bracket before a separator.
_REST = r"""((?:[^\s"'<>]|["'<>](?![\s,;:)\]}>/\\]|\Z)){1,2048})"""
_AUTHORITY = lazy(rf":\\{{0,4}}/\\{{0,4}}/{_REST}")
_RELATIVE = lazy(rf"""//(?:(?<=\A//)|(?<=["'\s]//)){_REST}""")
_ENDS = lazy(r"[/?#\\]")
_QUOTES = lazy(r"""["'<>]""")
# A password with an unescaped `/`, `?` or `#`. The text after the colon is not a port.
_LOOSE = lazy(r"[^/?#:@\\\[]{0,256}:(?!\d{0,5}(?:[/?#\s\"'<>,)]|\Z))[^\s@]{1,512}@")
_HOST = lazy(r"(?:[\w-]{1,63}(?:\.[\w-]{1,63})+|localhost)(?::\d{1,5})?\Z|[\w.-]{1,253}:\d{1,5}\Z|\[")
_DATABASE = lazy(
    r"(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|sqlserver|oracle|clickhouse|cockroachdb|snowflake)"
    r"(?:\+\w{1,16})?\Z"
)
_LONGEST_SCHEME = 32
# Go's MySQL driver: `user:password@tcp(host:3306)/`; Oracle's thin driver: `thin:user/password@host`.
_GO = lazy(r"""(?<![^\s"'=(])([\w.-]{1,64}):([^\s"'<>/]{1,256})@(?=(?:tcp|unix)\()""")
_THIN = lazy(r"thin:([^/\s\"']{1,64}/[^\s\"']{1,256})@")
# User information in a URL that is percent-encoded once or several times, in whole or in part, as in a path.
_ENCODED_USERINFO = lazy(
    r"""(?: (%(?:25){0,2}3[aA](?:/|%(?:25){0,2}2[fF]){2}) | (://) )
    (?:(?!%(?:25){0,2}(?:40|2[fF]|3[fF]|23))[^\s/?\#"'<>&@]){1,512}((?(2)(?!@))(?:%(?:25){0,2}40|@))""",
    re.VERBOSE,
)

_PARAMETER = lazy(r"""[?&;\#]([^\s=&;\#?"'<>]{1,256})=([^\s&;\#"'<>]+)""")
_DEEPEST = 3
_MOST_PARAMETERS = 512
_MOST_NESTED = 128  # values that are decoded and searched
_LONGEST_NESTED = 2048
_LONGEST_VALUE = 8 * 1024


class Urls:
    """Masks URLs and query strings. ``nested`` masks the decoded value of a parameter: a URL, JSON or text."""

    __slots__ = ("_is_secret", "_nested")

    def __init__(self, is_secret: Callable[[str], bool], nested: Callable[[str, int, Budget], str]) -> None:
        self._is_secret = is_secret
        self._nested = nested

    def url(self, url: str, budget: Budget, depth: int = 0) -> str:
        """Return a URL with masked user information and masked secrets in path parameters, query and fragment."""
        url = mask_userinfo(url, budget)
        head, hash_mark, fragment = url.partition("#")
        path, question_mark, query = head.partition("?")
        if ";" in path:
            path = "/".join([self.query(segment, budget, depth) for segment in path.split("/")])
        if query:
            query = self.query(query, budget, depth)
        if "=" in fragment:
            route, mark, rest = fragment.rpartition("?")
            fragment = route + mark + self.query(rest, budget, depth)
        return path + question_mark + query + hash_mark + fragment

    def query(self, query: str, budget: Budget, depth: int = 0) -> str:
        """Return a query with masked values of secret parameters. The separators are `&` and `;`."""
        parts = query.split("&", _MOST_PARAMETERS)
        if len(parts) > _MOST_PARAMETERS:
            parts[-1] = OMITTED
        nested = 0
        for at, part in enumerate(parts):
            if "=" not in part:
                continue
            if budget.left <= 0:
                return "&".join([*parts[:at], OMITTED])
            if "%" in part or ";" in part or ":" in part:
                nested += 1
                if nested > _MOST_NESTED:
                    return "&".join([*parts[:at], OMITTED])
            parts[at] = self._part(part, budget, depth) if ";" in part else self._pair(part, budget, depth)
        return "&".join(parts)

    def _part(self, part: str, budget: Budget, depth: int) -> str:
        """Return a part with masked pairs, separated by `;`. Some servers read `;` as part of the value."""
        masked: list[str] = []
        in_secret = False
        pieces = part.split(";", _MOST_NESTED)
        if len(pieces) > _MOST_NESTED:
            pieces[-1] = OMITTED
        for piece in pieces:
            if "=" not in piece and in_secret:
                continue  # `password=a;b`: `b` belongs to the same secret
            if budget.left <= 0:
                return ";".join([*masked, OMITTED])
            masked.append(self._pair(piece, budget, depth))
            in_secret = masked[-1] != piece and masked[-1].endswith(f"={MASK}")
        return ";".join(masked)

    def _pair(self, pair: str, budget: Budget, depth: int) -> str:
        name, equals, value = pair.partition("=")
        if not value:
            return pair
        budget.left -= PLACE
        if self._is_secret(name):
            return name + equals + MASK
        return name + equals + self.value(value, budget, depth)

    def parameters(self, text: str, budget: Budget, depth: int) -> str:
        """Return a text with masked secret parameters of the query strings in it."""
        parts: list[str] = []
        done = 0
        nested = 0
        for count, found in enumerate(_PARAMETER.finditer(text)):
            start, end = found.span()
            nested += "%" in found[2] or ":" in found[2]
            if count == _MOST_PARAMETERS or nested > _MOST_NESTED or budget.left <= 0:
                return f"{''.join(parts)}{text[done:start]}{OMITTED}"
            start += 1
            pair = text[start:end]
            masked = self._pair(pair, budget, depth)
            if masked != pair:
                parts += (text[done:start], masked)
                done = end
        return f"{''.join(parts)}{text[done:]}" if parts else text

    def value(self, value: str, budget: Budget, depth: int) -> str:
        """Return a parameter's value with masked secrets inside, such as the token in the URL of a redirect."""
        if depth >= _DEEPEST or not ("=" in value or "%" in value or ":" in value or "+" in value):
            return value
        if len(value) > _LONGEST_VALUE:
            value = truncate(value, _LONGEST_VALUE)
        if len(value) > _LONGEST_NESTED:
            depth = _DEEPEST - 1  # only one level is searched
        budget.left -= len(value)
        plain, encoding = _decoded(value) if "%" in value else (value, "utf-8")
        masked = self._nested(plain, depth + 1, budget)
        if masked == plain:
            return value
        return quote(masked, safe="", encoding=encoding, errors="replace") if "%" in value else masked


def _decoded(value: str) -> tuple[str, str]:
    """Return a decoded value and its encoding. Latin-1 keeps each byte of a value that is not UTF-8."""
    try:
        return unquote(value, "utf-8", "strict"), "utf-8"
    except UnicodeDecodeError:
        return unquote(value, "latin-1"), "latin-1"


def mask_userinfo(text: str, budget: Budget) -> str:
    """Return a text with masked `user:password@` after each `://`."""
    text = budget.places(text, "//", PLACE)
    if "@" in text:
        if "//" in text or "/\\" in text:
            text = _AUTHORITY.sub(_mask_authority, text)
            text = _RELATIVE.sub(_mask_authority, text)
        text = budget.places(text, "thin:", PLACE)
        if "@tcp(" in text or "@unix(" in text:
            text = _GO.sub(f"{MASK}:{MASK}@", text)
        if "thin:" in text:
            text = _THIN.sub(f"thin:{MASK}@", text)
    if "%" in text and ("%40" in text or "2540" in text or ("@" in text and ("3a" in text or "3A" in text))):
        text = _ENCODED_USERINFO.sub(lambda found: f"{found[1] or found[2]}{MASK}{found[3]}", text)
    return text


def _mask_authority(found: re.Match[str]) -> str:
    """Return the authority with masked user information, up to the `@` before the host."""
    rest = found[1]
    if "@" not in rest:
        return found[0]
    ends = _ENDS.search(rest)
    head = rest if ends is None else rest[: ends.start()]
    quote = _QUOTES.search(head)
    if quote is not None and ":" not in head[: quote.start()]:
        return found[0]
    end = head.rfind("@")
    if end < 0:
        loose = _LOOSE.match(rest)
        if loose is None:
            return found[0]
        end = loose.end() - 1
    later = rest.partition("?")[0].rfind("@")
    if later > end and (_is_database(found) or not (_HOST.match(head[end + 1 :]) or rest[later - 1] == "/")):
        end = later
    if end == 0 or rest[:end] == "git":
        return found[0]
    return f"{found[0][: found.start(1) - found.start()]}{MASK}:{MASK}{rest[end:]}"


def _is_database(found: re.Match[str]) -> bool:
    start = found.start()
    return _DATABASE.search(found.string, max(0, start - _LONGEST_SCHEME), start) is not None
