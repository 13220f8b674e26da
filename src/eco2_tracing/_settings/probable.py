"""Guesses the value that was probably meant by one that cannot be used.

Each function takes any text and returns a value, or ``None`` where it cannot be guessed. Nothing raises.
"""

from __future__ import annotations

import math
import re

SAFE_RATE = 0.01
"""The share that is sampled where the ratio that is set cannot be read."""

# Compiled by `re` at the first use: a start without a bad value uses none of them.
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?"
"""A decimal number in lower case, as a regular expression without groups."""
_PERCENT = r"(?:%|％|percent|per cent|pct)"  # noqa: RUF001 - the full-width sign of East Asian keyboards
_OF = r"(?:/|:|in|of|out of)"
_LABEL = r"\A[a-z_]+\s*[=:]\s*"
_COMMENT = r"\s+#.*\Z"
_LONGEST = 100
_WORDS_OF_RATES = {"all": 1.0, "always": 1.0, "always_on": 1.0, "none": 0.0, "never": 0.0, "always_off": 0.0}
_TRUE = frozenset({"true", "t", "1", "yes", "y", "on", "enable", "enabled", "active"})
_FALSE = frozenset({"false", "f", "0", "no", "n", "off", "disable", "disabled", "inactive", "none"})
_MILLISECONDS = {
    **dict.fromkeys(("us", "µs", "usec", "microseconds"), 0.001),
    **dict.fromkeys(("", "ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1000.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60_000.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3_600_000.0),
}
_THOUSANDS = {"": 1, "k": 1000, "m": 1_000_000}
_PER_SECOND = {
    **dict.fromkeys(("", "/s", "/sec", "/second", "per s", "per sec", "per second", "ps", "tps", "rps"), 1.0),
    **dict.fromkeys(("/m", "/min", "/minute", "per min", "per minute"), 60.0),
    **dict.fromkeys(("/h", "/hour", "per hour"), 3600.0),
}


def probable_rate(text: str) -> float | None:
    """Read a share from 0 to 1 that is written as a percentage, a fraction or with a decimal comma.

    A number above 1 and up to 100 is a percentage: ``10`` is 0.1.
    """
    word = _plain(text)
    if word in _WORDS_OF_RATES:
        return _WORDS_OF_RATES[word]
    if found := re.fullmatch(rf"({NUMBER})\s*{_OF}\s*({NUMBER})", word):
        part, whole = float(found[1]), float(found[2])
        return _share(part / whole) if whole > 0 else None
    if not (found := re.fullmatch(rf"({NUMBER})\s*({_PERCENT})?", word)):
        return None
    number = float(found[1])
    return _share(number / 100 if found[2] or number > 1 else number)


def probable_milliseconds(text: str) -> float | None:
    """Read a duration with a unit: ``500ms``, ``5s``, ``1m30s``, ``PT5S``."""
    word = _plain(text).removeprefix("pt")
    if re.fullmatch(r"[0-9]{1,3}(?:[_ ][0-9]{3})+", word):
        return _finite(float(re.sub("[_ ]", "", word)))
    parts = re.findall(rf"({NUMBER})\s*([a-zµ]*)\s*", word)
    if not parts or "".join(number + unit for number, unit in parts) != re.sub(r"\s", "", word):
        return None
    if any(unit not in _MILLISECONDS for _, unit in parts):
        return None
    return _finite(sum(float(number) * _MILLISECONDS[unit] for number, unit in parts))


def probable_count(text: str) -> int | None:
    """Read a whole number with separators, a suffix or a fraction of zero: ``1_000``, ``2k``, ``1e3``."""
    word = text.strip().lower()
    if re.fullmatch(r"[0-9]{1,3}(?:[_, '][0-9]{3}){1,4}", word):
        return int(re.sub("[_, ']", "", word))
    found = re.fullmatch(rf"({NUMBER})\s*([km]?)", _plain(text))
    if not found:
        return None
    number = _finite(float(found[1]) * _THOUSANDS[found[2]])
    return int(number) if number is not None and number.is_integer() else None


def probable_per_second(text: str) -> float | None:
    """Read a number of traces a second with its unit: ``10/s``, ``600/min``."""
    found = re.fullmatch(rf"({NUMBER})\s*(?:traces?|requests?)?\s*([a-z/ ]*)", _plain(text))
    if not found or found[2].strip() not in _PER_SECOND:
        return None
    number = _finite(float(found[1]) / _PER_SECOND[found[2].strip()])
    return number if number is not None and number > 0 else None


def probable_boolean(text: str) -> bool | None:
    """Read the usual words for true and false."""
    word = _plain(text)
    return True if word in _TRUE else False if word in _FALSE else None


def unquoted(text: str) -> str | None:
    """Return the text inside quotation marks around the whole text; ``None`` without them."""
    if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'`" and text[0] not in text[1:-1]:
        return text[1:-1].strip() or None
    return None


def _plain(text: str) -> str:
    """Return a text in lower case, without quotes, label, comment and separators, and with a decimal point."""
    word = text[:_LONGEST].strip()
    word = re.sub(_COMMENT, "", re.sub(_LABEL, "", (unquoted(word) or word).lower())).strip(" ;,")
    # A comma before three digits may separate thousands, unless nothing or a zero precedes it.
    if re.fullmatch(r"[+-]?0?,[0-9]+.*|[+-]?[0-9]+,(?![0-9]{3}(?![0-9]))[0-9]+.*", word):
        return word.replace(",", ".", 1)
    return word


def _share(number: float) -> float | None:
    return number if 0 <= number <= 1 else None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) and number >= 0 else None
