"""Masks user information in URLs, and in addresses of drivers."""

from __future__ import annotations

import re

from eco2_tracing._redaction.keys import MASK
from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import PLACE, Budget

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
