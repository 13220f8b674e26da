"""Detects words of prose after a secret's name, which are not secrets."""

from __future__ import annotations

from eco2_tracing._redaction.keys import KOREAN, OTHER_SIGNATURES, OTHER_TOKENS
from eco2_tracing._redaction.lazy import lazy

# After one of these words, `token` is a parser's term: "unexpected token: foo", "first token: 120 ms".
_PARSER_WORD = lazy(
    r"\b(?:bad|expected|first|illegal|invalid|last|missing|next|previous|unexpected|unknown|unrecognized)[ ]\Z"
)
_OPAQUE = lazy(r"(?=[^\s\d]{0,64}\d)[\w.~+/=-]{12,}")
_WORD = lazy(r"[a-z]{1,20}\Z")
_MARK = lazy(r"</?[a-z_ |]{1,16}>\Z")
_HANGUL = lazy(r"\d{0,3}[\uac00-\ud7a3]+\Z")
_FEW_DIGITS = lazy(r"\d{1,3}\Z")
_KEYS_WITH_COUNTS = (
    "pass",
    "sig",
    "pw",
    "signature",
    "otp",
    "cookies",
    "credentials",
    "passwords",
    "secrets",
)
_FETCH = ("include", "omit", "same-origin")  # values of `credentials` in the Fetch API
_SIGNS = ("sig", "signature")
_DIRECTORY = lazy(r"(?:/[a-z._-]{1,32}){1,8}/?\Z")  # the shell's variable `PWD` is a directory
_ANNOTATION = lazy(r"(?:annotated|dict|list|literal|optional|sequence|tuple|type|union)\[")
_SHORT_WORD = lazy(r"[a-z]{1,10}\Z")
_STARS = lazy(r"[*\u2022]+\Z")
_METHOD_AND_FIELD = lazy(r"(?:basic|negotiate|apikey|digest) [a-z_]{1,16}=[^=]")
_METHODS = frozenset(
    ("apikey", "basic", "digest", "jwt", "kerberos", "ldap", "mtls", "ntlm", "oauth", "oauth2", "saml2")
)


def is_prose(low: str, key: str, value: str, before: str, *, colon: bool) -> bool:
    """Return True if a value without quotes after a name is a word of prose.

    Args:
        low: The whole name, in lower case.
        key: The end of the name that makes it secret.
        value: The value, in lower case.
        before: The text before the name, in lower case.
        colon: True if the separator is a colon, False if it is an equals sign.
    """
    if _STARS.match(value) or (colon and _ANNOTATION.match(value)):
        return True
    if low == "pwd":
        return not colon and _DIRECTORY.match(value) is not None
    if low.endswith(" token"):  # `id token`, found at the end of "invalid token"
        before, low = before + low[: -len("token")], "token"
    word = before.rstrip().rpartition(" ")[2] if colon else ""
    if key.endswith("token"):
        if _MARK.match(value):
            return True
        is_other = word in OTHER_TOKENS or _PARSER_WORD.search(before) is not None
        return low == "token" and is_other and _OPAQUE.match(value) is None
    if key.endswith("auth"):
        return (
            value in _METHODS or _WORD.match(value) is not None or _METHOD_AND_FIELD.match(value) is not None
        )
    if key in _KEYS_WITH_COUNTS and low == key and _FEW_DIGITS.match(value):
        return True
    if key in _SIGNS and low == key:
        return word in OTHER_SIGNATURES or _SHORT_WORD.match(value) is not None
    if key == "credentials" and value in _FETCH:
        return True
    if low.endswith(KOREAN):
        return _HANGUL.match(value) is not None
    return colon and key.startswith(("signature", "credential")) and (_WORD.match(value) is not None)
