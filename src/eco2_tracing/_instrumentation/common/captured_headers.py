"""Headers that the operator wants on spans, by contrib's variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eco2_tracing._redaction import Redactor

REDACTED = "[REDACTED]"

_LONGEST = 16 * 1024
_LONGEST_NAME = 128  # the time that an expression takes grows with the name
# Names of headers that carry credentials; masked whatever the operator captures.
_SECRET = re.compile(r"authorization|cookie|token|secret|password|api[-_]?key", re.IGNORECASE)


def text(value: bytes) -> str:
    """A header's bytes as text: UTF-8, else Latin-1, which cannot fail."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def make_readable(holder: dict[str, Any]) -> None:
    """See to it that headers can be read more than once: ASGI allows whatever can be iterated over.

    Args:
        holder: The scope of a request, or the beginning of a response.
    """
    headers = holder.get("headers")
    if headers is not None and not isinstance(headers, list | tuple):
        holder["headers"] = list(headers)


def is_event_stream(headers: Iterable[tuple[bytes, bytes]] | None) -> bool:
    """Tell a response that goes on for as long as its client likes."""
    for name, value in headers or ():
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False


class HeaderCapture:
    """Picks headers by name and gives them as span attributes.

    Args:
        prefix: ``http.request.header.`` or ``http.response.header.``.
        names: Regular expressions for whole names, in any case.
        sanitized: Regular expressions for names whose values are masked.
        redactor: Masks headers of secret names, and secrets in the values of others: `referer` is a URL.
    """

    __slots__ = ("_match", "_prefix", "_redactor", "_sanitized")

    def __init__(
        self, prefix: str, names: Sequence[str], sanitized: Sequence[str], redactor: Redactor
    ) -> None:
        self._prefix = prefix
        self._match = re.compile("|".join(f"(?:{name})" for name in names), re.IGNORECASE).fullmatch
        joined = "|".join(f"(?:{name})" for name in sanitized)
        self._sanitized = re.compile(joined, re.IGNORECASE) if joined else None
        self._redactor = redactor

    def attributes(self, headers: Iterable[tuple[bytes, bytes]]) -> dict[str, list[str]]:
        """The captured headers, all values of a name together.

        Args:
            headers: Pairs as ASGI and httpx hold them.
        """
        found: dict[str, list[str]] = {}
        for raw_name, raw_value in headers:
            name = text(raw_name).lower()
            if len(name) <= _LONGEST_NAME and self._match(name):
                # As the stable conventions have it; contrib writes ``_`` for ``-``.
                key = self._prefix + name
                value = REDACTED if self._masks(name) else self._redactor.text(text(raw_value[:_LONGEST]))
                found.setdefault(key, []).append(value)
        return found

    def _masks(self, name: str) -> bool:
        if self._sanitized is not None and self._sanitized.search(name):
            return True
        return _SECRET.search(name) is not None or self._redactor.is_secret(name)
