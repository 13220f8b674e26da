"""Captures HTTP headers as span attributes, as configured by contrib's environment variables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eco2_tracing._redaction import Redactor

REDACTED = "[REDACTED]"

_MAX_VALUE_LENGTH = 16 * 1024
_MAX_NAME_LENGTH = 128  # the time of a match grows with the length of the name
# Names of headers that carry credentials. Their values are always masked.
_SECRET = re.compile(r"authorization|cookie|token|secret|password|api[-_]?key", re.IGNORECASE)


def text(value: bytes) -> str:
    """Return a header's bytes as text: decoded as UTF-8, or as Latin-1 if that fails."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def make_headers_reusable(holder: dict[str, Any]) -> None:
    """Convert headers to a list unless they can be iterated over twice: ASGI allows any iterable.

    Args:
        holder: The scope of a request, or the first message of a response.
    """
    headers = holder.get("headers")
    if headers is not None and not isinstance(headers, list | tuple):
        holder["headers"] = list(headers)


def is_event_stream(headers: Iterable[tuple[bytes, bytes]] | None) -> bool:
    """Return whether a response is an event stream, whose duration is decided by the client."""
    for name, value in headers or ():
        if name == b"content-type":
            return value.startswith(b"text/event-stream")
    return False


class HeaderCapture:
    """Selects headers by name and returns them as span attributes.

    Args:
        prefix: ``http.request.header.`` or ``http.response.header.``.
        names: Regular expressions for whole names, not case-sensitive.
        sanitized: Regular expressions for names whose values are masked.
        redactor: Masks headers with secret names. Masks secrets in other values, such as the URL in `referer`.
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
        """Return the captured headers: attribute names and lists of values.

        Args:
            headers: Names and values as bytes, as in ASGI and httpx.
        """
        found: dict[str, list[str]] = {}
        for raw_name, raw_value in headers:
            name = text(raw_name).lower()
            if len(name) <= _MAX_NAME_LENGTH and self._match(name):
                # The name as in the stable HTTP conventions; contrib replaces ``-`` by ``_``.
                key = self._prefix + name
                value = (
                    REDACTED
                    if self._masks(name)
                    else self._redactor.text(text(raw_value[:_MAX_VALUE_LENGTH]))
                )
                found.setdefault(key, []).append(value)
        return found

    def _masks(self, name: str) -> bool:
        if self._sanitized is not None and self._sanitized.search(name):
            return True
        return _SECRET.search(name) is not None or self._redactor.is_secret(name)
