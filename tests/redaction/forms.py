"""Texts with secrets and ordinary texts, read from the lists in `data/`."""

from __future__ import annotations

import random
import re
import string
from pathlib import Path

SECRET = "S3CRETvalue9"

_DATA = Path(__file__).parent / "data"
_ALPHABETS = {
    "a": string.ascii_letters + string.digits,
    "h": "0123456789abcdef",
    "d": string.digits,
    "u": string.ascii_uppercase + string.digits,
    "l": string.ascii_lowercase + string.digits,
    "w": string.ascii_letters + string.digits + "_-",
}
_PLACEHOLDER = re.compile(r"<([ahdulw])(\d+)>")
_LONG_ENOUGH = 8


def lines(name: str) -> list[str]:
    """Return the lines of a list without comments."""
    found = (_DATA / name).read_text(encoding="utf-8").splitlines()
    return [line for line in found if line and not line.startswith("# ")]


def _unescaped(line: str) -> str:
    """Return a line with its escapes replaced. Two backslashes become one."""
    marks = {"\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\t": "\t"}
    return re.sub(r"\\[\\nrt]", lambda found: marks[found[0]], line)


def _token(template: str) -> tuple[str, list[str]]:
    """Return a token of the given form, and its secret parts.

    The same template gives the same token in each run. So the repository holds no token that a scanner would report.
    """
    source = random.Random(template)
    secrets: list[str] = []

    def filled(found: re.Match[str]) -> str:
        letters = source.choices(_ALPHABETS[found[1]], k=int(found[2]))
        letters[0] = source.choice(
            string.digits if found[1] in "hd" else "QWXZ7" if found[1] == "u" else "qwxz7"
        )
        letters[1] = "7"
        if found[1] in "aw":
            letters[2:4] = "Bq"
        part = "".join(letters)
        if len(part) >= _LONG_ENOUGH:
            secrets.append(part)
        return part

    text = _PLACEHOLDER.sub(filled, template)
    return text, secrets


FORMS = [(_unescaped(line).replace("@@@", SECRET), [SECRET]) for line in lines("forms.txt")]
"""Texts that contain a secret, with their secrets."""

TOKENS = [_token(line) for line in lines("tokens.txt")]
"""Tokens of known forms, with their secret parts."""

BENIGN_TEXTS = [_unescaped(line) for line in lines("benign_texts.txt")]
"""Texts that look like secrets and are none."""

BENIGN_KEYS = lines("benign_keys.txt")
"""Names of values that are not secrets."""
