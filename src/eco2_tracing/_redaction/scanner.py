"""Masks secrets in one text: free text, a URL or a query string."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

from eco2_tracing._redaction.commands import has_option
from eco2_tracing._redaction.extent import mask_spans
from eco2_tracing._redaction.forms import find_forms, find_numbers, has_form, mask_code
from eco2_tracing._redaction.keys import MASK, SecretKeys
from eco2_tracing._redaction.lazy import compile_all, lazy
from eco2_tracing._redaction.limits import LONGEST_TEXT, OMITTED, PLACE, SEARCHES, Budget, printable, truncate
from eco2_tracing._redaction.messages import DETAILS, mask_details
from eco2_tracing._redaction.sql import CAPITALS, STARTS, mask_statements
from eco2_tracing._redaction.text import FreeText, lowered
from eco2_tracing._redaction.tokens import find_run
from eco2_tracing._redaction.userinfo import mask_userinfo

_SHORTEST_TOKEN = 20
_SHORTEST_RUN = 16
_PARAMETER = lazy(r"""[?&;\#]([^\s=&;\#?"'<>]{1,256})=([^\s&;\#"'<>]+)""")
_DEEPEST = 3
_MOST_PARAMETERS = 512
_MOST_NESTED = 128  # values that are decoded and searched
_LONGEST_NESTED = 2048
_LONGEST_VALUE = 8 * 1024


class Scanner:
    """The part of `Redactor` that masks texts."""

    __slots__ = ("_free", "_limit", "_numbers", "is_secret")

    def __init__(
        self, extra_keys: Iterable[str] = (), *, limit: int = LONGEST_TEXT, numbers: Iterable[str] = ()
    ) -> None:
        keys = SecretKeys(extra_keys)
        self.is_secret = keys.is_secret
        self._limit = limit
        self._numbers = frozenset(numbers)
        self._free = FreeText(keys.is_secret, keys.extra)

    def query(self, query: str, budget: Budget | None = None) -> str:
        """Return a query string with masked values of secret parameters. Names may be percent-encoded."""
        if type(query) is not str or len(query) > self._limit:
            query = truncate(printable(query), self._limit)
        if self._numbers:
            query = self._without_numbers(query)
        if "=" in query:
            query = self._masked_query(query, budget := budget or Budget(SEARCHES))
        return _credentials(query, budget)

    def url(self, url: str, budget: Budget | None = None) -> str:
        """Return an absolute or relative URL with masked user information and secret parameters."""
        if type(url) is not str or len(url) > self._limit:
            url = truncate(printable(url), self._limit)
        if self._numbers:
            url = self._without_numbers(url)
        if "?" in url or "@" in url or "=" in url or "%" in url:
            url = self._masked_url(url, budget := budget or Budget(SEARCHES))
            if "%3" in url:
                return self._scan(url, 0, budget)
        return _credentials(url, budget)

    def prepare(self) -> None:
        """Compile all patterns before the first request, because that takes about 40 ms."""
        compile_all()
        self._free.mask("password=x", "password=x", Budget(SEARCHES))

    def text(self, text: str, budget: Budget | None = None) -> str:
        """Return free text with masked secrets: `key=value`, JSON, headers, credentials, URLs and literals of SQL."""
        if type(text) is not str or len(text) > self._limit:
            text = truncate(printable(text), self._limit)
        return self._scan(text, 0, budget)

    def _scan(self, text: str, depth: int, budget: Budget | None = None) -> str:
        if self._numbers:
            text = self._without_numbers(text)
        # Most values of attributes and fields are one short word. No secret of a known form is so short.
        if len(text) < _SHORTEST_TOKEN and text.isalnum():
            return text
        # Literal searches come first, because they reject most texts within a microsecond.
        low = text.lower()
        if len(low) != len(text):
            low = lowered(text)
        quoted = "'" in low or '"' in low
        if quoted or "(" in low:
            for stem in DETAILS:
                if stem in low:
                    budget = budget or Budget(SEARCHES)
                    text, low = _updated(mask_details(text, low, budget), text, low)
                    break
        if (
            "select" in low or "update" in low or "delete" in low or "into" in low
            or (quoted and (
                "line " in low or "[sql:" in low or "call" in low or "exec" in low or "set password" in low
                or text.startswith(STARTS) or CAPITALS.search(text)
            ))
        ):  # fmt: skip
            budget = budget or Budget(SEARCHES)
            text, low = _updated(mask_statements(text, low, budget), text, low)
        assigned = "=" in low or ":" in low
        encoded = "%" in low
        if assigned:
            if "code" in low:
                budget = budget or Budget(SEARCHES)
                text, low = _updated(mask_code(text, low, budget), text, low)
            if "@" in low and ("//" in low or "\\/" in low or "thin:" in low or "@tcp(" in low):
                budget = budget or Budget(SEARCHES)
                text, low = _updated(mask_userinfo(text, budget), text, low)
            if "=" in low and ("?" in low or "&" in low):
                budget = budget or Budget(SEARCHES)
                text, low = _updated(self._masked_parameters(text, budget, depth), text, low)
        if encoded and "40" in low:
            budget = budget or Budget(SEARCHES)
            text, low = _updated(mask_userinfo(text, budget), text, low)
        if (
            assigned or encoded or quoted or ">" in low or "-" in low or "\\" in low or "_" in low or "pass" in low
        ) and self._free.has_name(low):  # fmt: skip
            return self._free.mask(text, low, budget or Budget(SEARCHES))
        if find_run(text) is None and not has_form(low) and ("-" not in low or not has_option(low)):
            return text
        return mask_spans(text, find_forms(text, low, budget or Budget(SEARCHES)))

    def _masked_url(self, url: str, budget: Budget) -> str:
        """Return a URL with masked user information and masked secrets in path parameters, query and fragment."""
        url = mask_userinfo(url, budget)
        head, hash_mark, fragment = url.partition("#")
        path, question_mark, query = head.partition("?")
        if ";" in path:
            path = "/".join([self._masked_query(segment, budget) for segment in path.split("/")])
        if query:
            query = self._masked_query(query, budget)
        if "=" in fragment:
            route, mark, rest = fragment.rpartition("?")
            fragment = route + mark + self._masked_query(rest, budget)
        return path + question_mark + query + hash_mark + fragment

    def _masked_query(self, query: str, budget: Budget, depth: int = 0) -> str:
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
        if self.is_secret(name):
            return name + equals + MASK
        return name + equals + self._masked_value(value, budget, depth)

    def _masked_parameters(self, text: str, budget: Budget, depth: int) -> str:
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

    def _masked_value(self, value: str, budget: Budget, depth: int) -> str:
        """Return a parameter's value with masked secrets inside, such as the token in the URL of a redirect."""
        if depth >= _DEEPEST or not ("=" in value or "%" in value or ":" in value or "+" in value):
            return value
        if len(value) > _LONGEST_VALUE:
            value = truncate(value, _LONGEST_VALUE)
        if len(value) > _LONGEST_NESTED:
            depth = _DEEPEST - 1  # only one level is searched
        budget.left -= len(value)
        plain, encoding = _decoded(value) if "%" in value else (value, "utf-8")
        inner, depth = plain, depth + 1
        if "=" in plain and "?" not in plain:
            inner = self._masked_query(plain, budget, depth)
        elif "=" not in plain and "%" in plain:  # the value is encoded twice
            inner = self._masked_value(plain, budget, depth)
        masked = self._scan(inner, depth, budget)
        if masked == plain:
            return value
        return quote(masked, safe="", encoding=encoding, errors="replace") if "%" in value else masked

    def _without_numbers(self, text: str) -> str:
        return mask_spans(text, find_numbers(text, self._numbers))


def _decoded(value: str) -> tuple[str, str]:
    """Return a decoded value and its encoding. Latin-1 keeps each byte of a value that is not UTF-8."""
    try:
        return unquote(value, "utf-8", "strict"), "utf-8"
    except UnicodeDecodeError:
        return unquote(value, "latin-1"), "latin-1"


def _credentials(url: str, budget: Budget | None) -> str:
    """Return a URL or a query with masked credentials of known forms, also after a scheme and an encoded space."""
    if (
        (len(url) < _SHORTEST_RUN or find_run(url) is None)
        and "+" not in url and "%" not in url and " " not in url and "eyJ" not in url and "hook" not in url
        and ";" not in url and "\n" not in url
    ):  # fmt: skip
        return url
    return mask_spans(url, find_forms(url, lowered(url), budget or Budget(SEARCHES)))


def _updated(masked: str, text: str, low: str) -> tuple[str, str]:
    return (text, low) if masked is text or masked == text else (masked, lowered(masked))
