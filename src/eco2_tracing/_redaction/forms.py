"""Masks secrets that are recognized by their form, without a name before them."""

from __future__ import annotations

import re

from eco2_tracing._redaction.commands import find_command_passwords, has_option
from eco2_tracing._redaction.extent import PROSE, mask_spans
from eco2_tracing._redaction.lazy import lazy
from eco2_tracing._redaction.limits import CHEAP, Budget
from eco2_tracing._redaction.tokens import WEBHOOK, begins_word, find_run, find_tokens

CARD, RESIDENT = "card", "resident"
NUMBER_KINDS = (CARD, RESIDENT)
"""The values of `ECO2_TRACING_REDACT_NUMBERS`."""

_NUMBERS = {
    # ISO/IEC 7812: 13 to 19 digits, which may be grouped.
    CARD: re.compile(r"(?<![\w.-])[2-6](?:[ -]?\d){12,18}(?![\w-])"),
    # Birth date, a dash, a digit for sex and century, six more.
    RESIDENT: re.compile(r"(?<![\w-])\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])-[0-9]\d{6}(?![\w-])"),
}


def find_numbers(text: str, kinds: frozenset[str]) -> list[tuple[int, int]]:
    """Return the spans of numbers of the given `NUMBER_KINDS`."""
    spans: list[tuple[int, int]] = []
    for kind in NUMBER_KINDS:
        if kind in kinds:
            found = _NUMBERS[kind].finditer(text)
            spans += [one.span() for one in found if kind != CARD or _is_card(one[0])]
    return spans


def _is_card(text: str) -> bool:
    """Return True if the last digit of a card number is its checksum by Luhn's algorithm."""
    digits = [int(char) for char in text if char.isdecimal()]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return sum(digits[-1::-2], sum(doubled)) % 10 == 0


_SCHEMES = ("bearer", "basic", "negotiate", "apikey")
_AFTER_SCHEME = lazy(
    r"(?:[ \t]{1,4}|(?:\\{1,4}r|\r)?(?:\\{1,4}n|\n)[ \t]{1,8}|%(?:25){0,3}(?:20|2b)|\+|[:=][ ]?|,[ ])"
    r"([\w.~+/=-]{4,128})"
)
_MORE = lazy(r"[\w.~+/=-]*")
_FIELD = lazy(r"[A-Za-z_]{1,24}=(?:[^=]|\Z)")  # a parameter of a challenge: `Basic realm=x`
_SHORTEST_OPAQUE = 8
_LONGEST_WORD = 16
_DIGEST = lazy(r"\bdigest[ ]{1,4}(?=[a-z]{2,16}=)([^\n]*)")
# Three parts, where a detached payload is empty. An encrypted token has five parts, where one may be empty.
_JWT = lazy(r"(?<![\w-])eyj[\w-]{8,}(?:\.[\w-]+|\.(?=\.[\w-])){1,4}")
_PEM = lazy(
    r"(-{4,5} ?begin [a-z0-9 ]{0,40}private key(?: block)? ?-{4,5}).*?(?:(?=-{4,5} ?end)|\Z)", re.DOTALL
)
_PUTTY = lazy(r"private-lines: \d{1,6}[\s\\].*", re.DOTALL)
# A cookie is recognized by the attribute after it: `session=x; Path=/`.
_COOKIE_ATTRIBUTE = lazy(r"[ ]?(?:path=|domain=|expires=|max-age=|httponly\b|secure\b|samesite=)")
_LONGEST_COOKIE = 4096
_MOST_COOKIES = 512
# Redis: `AUTH password`, `AUTH user password`.
_REDIS_AUTH = lazy(r"(?<![\w-])AUTH[ ](?:[\w.-]{1,64}[ ])?(?=[^\s\d]{0,64}\d)([^\s'\"=:]{8,512})")

# A user and a password as arguments of a call, as in source lines of stack traces.
_CALL = lazy(
    r"""(?:basicauth|\.login)\([ ]?b?\\{0,3}["'][^"'\n]{0,128}["'],[ ]?b?\\{0,3}["']([^"'\n]{1,512})["']"""
)

# OAuth's authorization code. It mixes cases and digits; error codes are numbers, or words in one case.
_CODE = lazy(r"""code\\{0,63}["'`]?[ ]{0,4}[:=][ ]{0,4}\\{0,63}["'`]?""")
_OPAQUE = lazy(
    r"(?=[\w.~/+-]{10})(?=[^\sA-Z]{0,64}[A-Z])(?=[^\sa-z]{0,64}[a-z])(?=[^\s0-9]{0,64}[0-9])[\w.~/+-]+"
)
_IN_NAME = lazy(r"[\w.-]")
# Words and short numbers, such as promotion codes: `SpringSale2024`, `SUMMER-24`.
_WORDS_AND_NUMBERS = lazy(r"(?:(?:[A-Z]?[a-z]{2,}|[A-Z]{2,}|\d{1,4})[-_.]?){1,5}\Z")


def has_form(low: str) -> bool:
    """Return True if a text may hold a credential of a known form. It is fast, because it is called for each line."""
    # One letter is found faster than a word.
    return (
        "bearer" in low or "basic" in low or "eyj" in low or "digest " in low or "negotiate " in low
        or ("k" in low and ("hook" in low or "apikey " in low))
        or ("v" in low and ("private" in low or "vault" in low))
        or "auth " in low or "; " in low or ".login(" in low
        or ("p" in low and ("sqlplus" in low or "/p:" in low))
        or ("|" in low and "echo " in low)
    )  # fmt: skip


def find_forms(text: str, low: str, budget: Budget) -> list[tuple[int, int]]:
    """Return the spans of secrets of known forms."""
    if not (has_form(low) or find_run(text) or has_option(low)):
        return []
    spans = find_tokens(text, budget)
    if "hook" in low or "/with/key/" in low or "api.telegram" in low:
        spans += [found.span(found.lastindex or 0) for found in WEBHOOK.finditer(text)]
    for scheme in _SCHEMES:
        if scheme in low:
            spans += _find_scheme_credentials(text, low, scheme, budget)
    if "digest " in low and "response=" in low:  # a challenge has no response
        spans += [found.span(1) for found in _DIGEST.finditer(low)]
    if "eyj" in low:
        spans += [found.span() for found in _JWT.finditer(low)]
    if "private" in low and ("private key" in low or "private-lines" in low):
        spans += [(found.end(1), found.end()) for found in _PEM.finditer(low)]
        spans += [found.span() for found in _PUTTY.finditer(low)]
    if "basicauth(" in low or ".login(" in low:
        spans += [found.span(1) for found in _CALL.finditer(low)]
    if "AUTH " in text:
        spans += [found.span(1) for found in _REDIS_AUTH.finditer(text)]
    has_program = "vault" in low or "sqlplus" in low or "/p:" in low or ("|" in low and "echo " in low)
    if has_program or has_option(low):
        spans += find_command_passwords(text, low, budget)
    if "; " in low and "=" in low:
        spans += _find_cookies(low)
    return spans


def mask_code(text: str, low: str, budget: Budget) -> str:
    """Return a text with masked values of `code` that look like OAuth's authorization codes."""
    spans = []
    for found in _CODE.finditer(low):
        budget.left -= 2 * CHEAP
        if budget.left <= 0:
            spans.append((found.end(), len(text)))
            break
        value = _OPAQUE.match(text, found.end())
        before = low[found.start() - 1 : found.start()]
        if value is not None and not _WORDS_AND_NUMBERS.match(value[0]) and not _IN_NAME.match(before):
            spans.append(value.span())
    return mask_spans(text, spans)


def _find_cookies(low: str) -> list[tuple[int, int]]:
    """Return the spans of cookie values before attributes such as `Path`."""
    spans: list[tuple[int, int]] = []
    left = _MOST_COOKIES
    at = low.find("; ")
    while at >= 0:
        if _COOKIE_ATTRIBUTE.match(low, at + 1) is not None:
            left -= 1
            if left < 0:
                return [*spans, (at, len(low))]
            first = max(0, at - _LONGEST_COOKIE)
            begin = max(first, *(low.rfind(char, first, at) + 1 for char in " \n\t\"',;"))
            equals = low.find("=", begin, at)
            if equals >= 0 and not _COOKIE_ATTRIBUTE.match(low, begin):
                spans.append((equals + 1, at))
        at = low.find("; ", at + 2)
    return spans


def _find_scheme_credentials(text: str, low: str, scheme: str, budget: Budget) -> list[tuple[int, int]]:
    """Return the spans of credentials after an authorization scheme. Words of prose are not credentials."""
    spans: list[tuple[int, int]] = []
    at = low.find(scheme)
    while budget.left > 0 or at < 0:
        if at < 0:
            return spans
        budget.left -= CHEAP
        end = at + len(scheme)
        found = _AFTER_SCHEME.match(low, end)
        if found is not None and _is_credential(text, low, at, found, scheme):
            # The rest of a long value is matched here only, so that other long words are skipped fast.
            more = _MORE.match(low, found.end())
            end = found.end() if more is None else more.end()
            spans.append((found.start(1), end))
        at = low.find(scheme, end)
    spans.append((at, len(text)))  # the budget is exhausted: the rest is masked
    return spans


def _is_credential(text: str, low: str, at: int, found: re.Match[str], scheme: str) -> bool:
    value = text[found.start(1) : found.end(1)]
    bare = value.lower().rstrip(".")
    if text.startswith(('"', '\\"'), found.end(1)) and value.endswith("=") and _FIELD.fullmatch(value):
        return False  # a parameter of a challenge: `realm="x"`
    if low[max(0, at - 5) : at] == "type=" or bare in PROSE or not begins_word(text, at):
        return False
    separator = low[at + len(scheme)]
    if scheme != "bearer":
        return separator not in ":=," and not _is_word(value) and _FIELD.match(value) is None
    if separator in ":=,":  # a word of prose before its explanation, or a WebSocket subprotocol
        return any(char.isdigit() for char in value) and len(value) >= _SHORTEST_OPAQUE
    if "authorization" in low[max(0, at - 20) : at]:
        return True
    return not (bare.isalpha() and value.islower() and len(bare) <= _LONGEST_WORD)


def _is_word(value: str) -> bool:
    """Return True for a word ("Basic authentication"), False for base64, which mixes cases and digits."""
    tail = value[1:].rstrip(".")
    return tail.islower() and tail.replace("-", "").isalpha()
