"""The names under which values are secrets."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, unquote

from eco2_tracing._redaction.lazy import lazy

MASK = "REDACTED"
"""Replaces a secret; the word of the semantic conventions (`url.full`)."""

STRONG = (
    "access_token", "refresh_token", "id_token", "auth_token", "session_token", "security_token",
    "csrf_token", "xsrf_token", "api_key", "api_keys", "private_key", "access_key", "account_key",
    "signing_key", "encryption_key", "master_key", "password", "passwords", "password_hash",
    "password_confirm", "password_confirmation", "passwd", "pwd", "passphrase", "passcode", "secret",
    "secrets", "secret_key", "client_secret", "credential", "credentials", "set_cookie",
    "cookie", "cookies", "identified_by", "authorization_code", "code_verifier", "card_number", "credit_card",
    "x_amz_signature", "x_amz_credential", "x_goog_signature", "x_goog_credential", "auth_key",
    "subscription_key", "access_tokens", "refresh_tokens", "auth_tokens", "api_tokens", "bind_pw", "root_pw",
    "x_auth", "basic_auth", "http_auth", "jwt_key", "ssh_key", "hmac_key", "functions_key", "secret_key_base",
    "requirepass", "masterauth", "rediscli_auth", "app_key", "application_key", "secret_id", "storepass", "keypass",
)  # fmt: skip
"""Secret as a whole name, or as the last words of a longer name: `db_password`, `x-api-key`."""

EXACT = (
    "authorization", "token", "AWSAccessKeyId", "signature", "sig", "pass", "pw", "auth", "otp", "cvv", "cvc",
    "client_assertion", "saml_response",
)  # fmt: skip
"""Secret as a whole name, or as the last segment of a dotted one: `sig`, `user.pass`."""

KOREAN = (
    "비밀번호", "패스워드", "암호", "비번", "토큰", "인증번호", "인증키", "비밀키", "개인키", "액세스키", "접근키",
)  # fmt: skip

"""Korean names of passwords, tokens and keys. Secret as a whole name, or as the end of a longer name."""

KOREAN_ESCAPED = tuple("".join(f"\\u{ord(letter):04x}" for letter in name) for name in KOREAN)
"""The Korean names with the escapes of ASCII JSON."""

KOREAN_ENCODED = tuple(quote(name).lower() for name in KOREAN)
"""The Korean names percent-encoded."""

FIELDS = ("assertion", "hmac", "jwt")
"""Secret as `EXACT`, for parameters, fields and attributes only. In free text they are words of prose."""

SUFFIXES = (
    "value", "string", "plain", "raw", "new", "old", "confirm", "confirmation", "repeat", "hash", "hashed",
    "hint", "base64", "prod", "production", "dev", "development", "staging", "stage", "stg", "test", "testing", "qa",
    "uat", "live", "sandbox", "local", "primary", "secondary", "backup", "previous",
)  # fmt: skip
"""Suffixes of secret names: `password_new`, `SecretString`, `bot_token_prod`."""

COOKIES = ("sessionid", "phpsessid", "jsessionid")
"""Session cookies of frameworks, in this spelling only. The conventions' `session.id` is not a secret."""

CODE_KEY = "code"
"""OAuth's authorization code. Secret as a whole parameter name; `error.code` is not a secret."""

# Secret as the end of a longer name, with or without a separator: `dbpassword`, `db_password`.
_ENDINGS = (
    "password", "passwd", "passphrase", "secret", "apikey", "accesskey", "accountkey", "secretkey",
    "privatekey", "cookie",
)  # fmt: skip
OTHER_TOKENS = frozenset((
    "bos", "cancel", "cancellation", "color", "completion", "continuation", "cursor", "design", "end", "eos", "first",
    "idempotency", "input", "last", "mask", "max", "missing", "next", "output", "pad", "page", "pagination", "per",
    "prev", "previous", "prompt", "resume", "sep", "special", "start", "stop", "sync", "total", "unexpected", "unk",
))  # fmt: skip
OTHER_SIGNATURES = frozenset(("call", "email", "func", "function", "mail", "method", "type"))
_OTHER_AUTHORIZATIONS = frozenset(("card", "payment", "pre", "prior", "purchase", "role", "travel"))
# First words of flags about secrets: `has_password`, `accept_cookie`.
_VERBS = frozenset((
    "accept", "allow", "can", "forgot", "has", "hide", "is", "must", "needs", "require", "required", "requires",
    "should", "show",
))  # fmt: skip
_USERS = frozenset((
    "admin", "database", "db", "email", "ftp", "ldap", "mail", "mongo", "mysql", "pg", "postgres", "redis",
    "root", "smtp", "user",
))  # fmt: skip

_WORD = lazy(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z]+|[^\W_]+")
_ESCAPED = lazy(r"\\{1,4}u([0-9a-fA-F]{4})")
_SEGMENT = lazy(r"[.\[\]:/\s]+")
_DIGITS = "0123456789"
_LONGEST_KEY = 256
_MOST_ENCODED = 3  # how often a name may be percent-encoded, for example by several proxies


def has_korean(text: str) -> bool:
    """Return True if a text has one of the Korean names."""
    if not text.isascii():
        return any(name in text for name in KOREAN)
    # Only the first escaped letter is searched, because `repr` doubles the backslashes of the others.
    return any(name[:6] in text for name in KOREAN_ESCAPED) or any(name in text for name in KOREAN_ENCODED)


def words(key: str) -> list[str]:
    """Return the words of a name in lower case, split at separators and at camel case."""
    return [word.lower() for word in _WORD.findall(key)]


class SecretKeys:
    """The names of secrets, in any case and with any separators.

    Extra names are matched as a whole or as the last segment of a dotted name.
    """

    __slots__ = ("_exact", "_strong", "extra", "is_secret")

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self.extra = tuple(key for key in extra if words(key))
        self._strong = frozenset("".join(words(key)) for key in STRONG)
        self._exact = frozenset("".join(words(key)) for key in (*EXACT, *FIELDS, *self.extra))
        cached = lru_cache(2048)(self._decide)

        def is_secret(key: str) -> bool:
            """Return True if values under this name are masked. The name may be percent-encoded."""
            return cached(key) if len(key) <= _LONGEST_KEY else self._decide(key[-_LONGEST_KEY:])

        self.is_secret = is_secret

    def _decide(self, key: str) -> bool:
        for _ in range(_MOST_ENCODED):
            if "%" in key:
                key = unquote(key)
        if "\\u" in key:
            key = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), key)
        split = words(key)
        if not split or (len(split) > 1 and split[0] in _VERBS):
            return False
        if split == [CODE_KEY] or split[-1] in COOKIES:
            return True
        last = _without_suffixes(words(_SEGMENT.split(key.strip("]) \t"))[-1]))
        split = _without_suffixes(split)
        joined = "".join(last)
        if joined in self._exact or "".join(split) in self._exact:
            return joined != CODE_KEY
        return _ends_secret(split, last) or any(
            "".join(split[-count:]) in self._strong for count in range(1, 5)
        )


def _without_suffixes(split: list[str]) -> list[str]:
    """Return the words of a name without suffixes: `new` of `password_new`, `256` of `signature-256`."""
    while len(split) > 1 and (split[-1] in SUFFIXES or split[-1].isdecimal()):
        split = split[:-1]
    return split


def _ends_secret(split: list[str], last: list[str]) -> bool:
    """Return True if the last word makes the name secret. Digits at its end are ignored: `password2`."""
    word = split[-1].rstrip(_DIGITS)
    if word.endswith("authorization"):
        before = word[: -len("authorization")] or (split[-2] if len(split) > 1 else "")
        return before not in _OTHER_AUTHORIZATIONS
    if word.endswith(_ENDINGS) or word.endswith(KOREAN):
        return True
    if word == "signature":
        return len(last) > 1 and last[-2] not in OTHER_SIGNATURES
    if word in ("pass", "userpass", "dbpass"):
        return word != "pass" or (len(last) > 1 and last[-2] in _USERS)
    if not word.endswith("token"):
        return False
    before = word[: -len("token")] or (last[-2] if len(last) > 1 else "")
    return before not in OTHER_TOKENS
