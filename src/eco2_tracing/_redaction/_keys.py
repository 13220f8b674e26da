"""Which names carry secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

MASK = "REDACTED"
"""What stands in a secret's place; the word of the semantic conventions (`url.full`)."""

STRONG = (
    "access_token", "refresh_token", "id_token", "auth_token", "session_token", "security_token",
    "csrf_token", "api_key", "private_key", "password", "passwd", "pwd", "passphrase", "secret",
    "secret_key", "client_secret", "authorization", "set_cookie", "cookie", "authorization_code",
    "code_verifier", "x_amz_signature", "x_amz_credential", "x_goog_signature", "x_goog_credential",
)  # fmt: skip
"""Secret also as the last words of a longer name: `db_password`, `x-api-key`."""

EXACT = ("token", "AWSAccessKeyId", "signature", "sig")
"""Secret as a whole name, or as the last segment of a dotted one; `page_token` is none."""

WHOLE = "code"
"""OAuth's authorization code: secret as a whole parameter name, while `error.code` is none."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+|[^\W_]+")
_SEGMENT = re.compile(r"[.\[\]:/\s]+")
_LONGEST_KEY = 256


def words(key: str) -> list[str]:
    """Split a name into lower-case words: at separators, and where camel case turns."""
    return [word.lower() for word in _WORD.findall(key)]


def _joined(key: str) -> str:
    return "".join(words(key))


class SecretKeys:
    """The names that carry secrets, in any case and with any separators.

    Args:
        extra: More names, each matched as a whole or as the last segment of a dotted name.
    """

    __slots__ = ("_exact", "_strong", "extra", "is_secret")

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self.extra = tuple(key for key in extra if words(key))
        self._strong = frozenset(map(_joined, STRONG))
        self._exact = frozenset(map(_joined, (*EXACT, *self.extra)))
        cached = lru_cache(2048)(self._decide)

        def is_secret(key: str) -> bool:
            """Tell whether values under this name are masked; the name may be percent-encoded."""
            return cached(key) if len(key) <= _LONGEST_KEY else self._decide(key[-_LONGEST_KEY:])

        self.is_secret = is_secret

    def _decide(self, key: str) -> bool:
        if "%" in key:
            key = unquote(key)
        split = words(key)
        if not split:
            return False
        if split == [WHOLE]:
            return True
        last = _SEGMENT.split(key.strip("]) \t"))[-1]
        joined = _joined(last)
        if joined in self._exact or "".join(split) in self._exact:
            return joined != WHOLE
        return any("".join(split[-count:]) in self._strong for count in range(1, 5))
