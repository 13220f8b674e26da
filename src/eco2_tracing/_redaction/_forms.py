"""Secrets that are known by their form, without a name before them."""

from __future__ import annotations

import re

from eco2_tracing._redaction._extent import PROSE, covered

_SCHEME = re.compile(
    r"(?<!type=)\b(bearer|basic|negotiate|apikey)"
    r"([ \t]{1,4}|(?:\\{1,4}r|\r)?(?:\\{1,4}n|\n)[ \t]{1,8}|%20|\+)([\w.~+/=-]{4,})"
)
_DIGEST = re.compile(r"\bdigest[ ]{1,4}(?=[a-z]{2,16}=)([^\n]*)")
# Three parts, of which a detached payload is empty; five where it is encrypted, one of them empty.
_JWT = re.compile(r"(?<![\w-])eyj[\w-]{8,}(?:\.[\w-]+|\.(?=\.[\w-])){1,4}")
_PEM = re.compile(
    r"(-{4,5} ?begin [a-z0-9 ]{0,40}private key(?: block)? ?-{4,5}).*?(?:(?=-{4,5} ?end)|\Z)", re.DOTALL
)
# As their makers document them: Amazon, GitHub, GitLab, Slack, Stripe, OpenAI and its like, Google.
_TOKEN = re.compile(
    r"""(?<![A-Za-z0-9])(?: AKIA[A-Z0-9]{16} | gh[opsur]_[A-Za-z0-9]{20,} | github_pat_\w{20,}
      | glpat-[\w-]{16,} | xox[a-z]-[\w-]{10,} | [rs]k_live_\w{10,} | sk-[\w-]{20,} | AIza[\w-]{30,} )""",
    re.VERBOSE,
)

# OAuth's authorization code: opaque, while the codes of errors are numbers, or words in one case.
_CODE = re.compile(r"""code\\{0,63}["'`]?[ ]{0,4}[:=][ ]{0,4}\\{0,63}["'`]?""")
_OPAQUE = re.compile(
    r"(?=[\w.~/+-]{10})(?=[^\sA-Z]{0,64}[A-Z])(?=[^\sa-z]{0,64}[a-z])(?=[^\s0-9]{0,64}[0-9])[\w.~/+-]+"
)
_IN_NAME = re.compile(r"[\w.-]")
_GITHUB = re.compile("gh[opsur]_|github_pat_")
WORDS = ("AKIA", "AIza")
"""How the forms begin that are one word."""


def has_form(low: str) -> bool:
    """Tell whether a text can hold a secret of a known form; fast, for it is asked for each line.

    Args:
        low: The text in lower case.
    """
    return (
        "bearer" in low or "basic" in low or "eyj" in low or "digest " in low or "negotiate " in low
        or "apikey " in low or "akia" in low or "aiza" in low
        or ("-" in low and ("private key" in low or "sk-" in low or "xox" in low or "glpat-" in low))
        or ("_" in low and ("k_live" in low or _GITHUB.search(low) is not None))
    )  # fmt: skip


def has_auth(low: str) -> bool:
    """Tell whether `auth` stands in a text as a name that has a value, not as a word of prose.

    Args:
        low: The text in lower case.
    """
    return (
        "authoriz" in low or "auth=" in low or "auth'" in low or 'auth"' in low or "auth\\" in low
        or "x-auth" in low
    )  # fmt: skip


def formed(text: str, low: str) -> list[tuple[int, int]]:
    """Find the secrets that are known by their form.

    Args:
        text: Any text.
        low: The same in lower case, of the same length.
    """
    spans = _schemes(text, low)
    if "digest " in low:
        spans += [found.span(1) for found in _DIGEST.finditer(low)]
    if "eyj" in low:
        spans += [found.span() for found in _JWT.finditer(low)]
    if "private key" in low:
        spans += [(found.end(1), found.end()) for found in _PEM.finditer(low)]
    return spans + [found.span() for found in _TOKEN.finditer(text)]


def mask_code(text: str, low: str) -> str:
    """Mask what stands behind `code` and looks like OAuth's.

    Args:
        text: Any text.
        low: The same in lower case, of the same length.
    """
    spans = []
    for found in _CODE.finditer(low):
        value = _OPAQUE.match(text, found.end())
        if value is not None and not _IN_NAME.match(low[found.start() - 1 : found.start()]):
            spans.append(value.span())
    return covered(text, spans) if spans else text


def _schemes(text: str, low: str) -> list[tuple[int, int]]:
    """Find credentials behind their scheme's name that look like such, not like prose."""
    spans = []
    for found in _SCHEME.finditer(low):
        value = text[found.start(3) : found.end(3)]
        if value.lower().rstrip(".") in PROSE or (found[1] != "bearer" and _is_word(value)):
            continue
        spans.append(found.span(3))
    return spans


def _is_word(value: str) -> bool:
    """Tell a word ("Basic authentication") from base64, which mixes cases and digits."""
    tail = value[1:].rstrip(".")
    return tail.islower() and tail.replace("-", "").isalpha()
