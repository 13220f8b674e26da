"""From the text of a variable to its value.

Every parser takes text that is neither empty nor padded and returns the value or raises `BadValueError`.
The types are those of the specification: https://opentelemetry.io/docs/specs/otel/configuration/common/
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote

from eco2_tracing._settings.display import MASK
from eco2_tracing._settings.hosts import is_host
from eco2_tracing._settings.probable import (
    probable_boolean,
    probable_count,
    probable_milliseconds,
    probable_rate,
)
from eco2_tracing._settings.problem import BadValueError

Parser = Callable[[str], object]

MAX_INT = 2**31 - 1
# Compiled by `re` when they are first needed: most starts need none of them.
_INTEGER = r"[+-]?[0-9]{1,10}"
_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}"
# Headers that frame or protect a response; a trace id there would break it.
_TAKEN_HEADERS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "location",
        "set-cookie",
        "transfer-encoding",
        "upgrade",
    }
)
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def text(value: str) -> str:
    """Return the text itself."""
    return value


def spec_boolean(value: str) -> bool:
    """Read a boolean as the specification does: only ``true`` is true, anything odd is false and reported."""
    word = value.lower()
    if word not in ("true", "false"):
        # The specification forbids further spellings of true: this one is suggested, not used.
        meant = f"; {'true'!r} was probably meant" if probable_boolean(value) else ""
        raise BadValueError(f"expected true or false{meant}", False)
    return word == "true"


def boolean(value: str) -> bool:
    """Read a boolean of our own: ``true``, ``1``, ``yes``, ``on`` or their opposites."""
    word = value.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise unusable("expected true or false", probable_boolean(value))


def unusable(complaint: str, meant: object = None) -> BadValueError:
    """Return the error for a value that cannot be used as it stands.

    Args:
        complaint: What was expected.
        meant: The value that was probably meant, which is used; ``None`` where it is unknown.
    """
    if meant is None:
        return BadValueError(complaint)
    written = str(meant).lower() if isinstance(meant, bool) else f"{meant:.10g}"
    return BadValueError(f"{complaint}; {written} was probably meant", meant)


def integer(minimum: int, unit: str = "") -> Parser:
    """Make a parser of whole numbers from ``minimum`` to 2**31 - 1."""

    def parse(value: str) -> int:
        number = int(value) if re.fullmatch(_INTEGER, value) else -1
        if not minimum <= number <= MAX_INT:
            meant = probable_milliseconds(value) if unit else probable_count(value)
            whole = meant is not None and minimum <= meant <= MAX_INT and float(meant).is_integer()
            complaint = f"expected a whole number{unit} from {minimum} to {MAX_INT}"
            raise unusable(complaint, int(meant) if meant is not None and whole else None)
        return number

    return parse


def timeout(value: str) -> int:
    """Read milliseconds; 0 means no limit, which is the largest value here, and so does every larger one."""
    if re.fullmatch("[0-9]+", value) and int(value.lstrip("0")[:11] or 0) > MAX_INT:
        return MAX_INT
    return _MILLISECONDS(value) or MAX_INT


_MILLISECONDS: Callable[[str], int] = integer(0, " of milliseconds")  # type: ignore[assignment]  # Parser hides int


def _number(value: str) -> float:
    return float(value) if re.fullmatch(_NUMBER, value) else math.nan


def rate(value: str) -> float:
    """Read a probability."""
    number = _number(value)
    if not 0 <= number <= 1:
        raise unusable("expected a number from 0 to 1", probable_rate(value))
    return number


def positive_ms(value: str) -> float:
    """Read a number of milliseconds above 0."""
    number = _number(value)
    if not (math.isfinite(number) and number > 0):
        raise unusable("expected a number of milliseconds above 0", probable_milliseconds(value) or None)
    return number


def one_of(*allowed: str, **also: str) -> Parser:
    """Make a parser of words, in any case; ``also`` maps further words to allowed ones."""

    def parse(value: str) -> str:
        word = value.lower()
        word = also.get(word, word)
        if word not in allowed:
            raise BadValueError(f"expected one of {', '.join(allowed)}{did_you_mean(word, allowed)}")
        return word

    return parse


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return a question that suggests the most similar word, or nothing.

    Args:
        word: What was found, in lower case.
        allowed: What can be used.
    """
    from difflib import get_close_matches  # rarely needed, and its import is not free

    # A word that is a part of one that is allowed, such as `http` of `http/protobuf`, is similar enough.
    close = [each for each in allowed if len(word) > 2 and each.startswith(word)]
    close = close or get_close_matches(word[:60], list(allowed), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def items(value: str) -> tuple[str, ...]:
    """Split a comma-separated list; empty items and repeats fall away, the order stays."""
    return tuple(dict.fromkeys(item for part in value.split(",") if (item := part.strip())))


def lower_items(value: str) -> tuple[str, ...]:
    """Split a comma-separated list of names in any case."""
    return items(value.lower())


def instrumentation_names(value: str) -> tuple[str, ...]:
    """Split a comma-separated list of names, or ``*``; what cannot be one falls away and is told."""
    found = lower_items(value)
    good = tuple(name for name in found if re.fullmatch(r"[a-z0-9._-]{1,100}|\*", name))
    if len(good) < len(found):
        raise BadValueError("expected names of instrumentations, such as redis", good)
    return good


def key_set(value: str) -> frozenset[str]:
    """Split a comma-separated list into a set of lower-case keys."""
    return frozenset(lower_items(value))


def some_of(*allowed: str) -> Parser:
    """Make a parser of comma-separated lists of words, in any case; others fall away and are told."""

    def parse(value: str) -> frozenset[str]:
        found = key_set(value)
        if not found <= {*allowed}:
            raise BadValueError(f"expected some of {', '.join(allowed)}", found & {*allowed})
        return found

    return parse


def header_name(value: str) -> str:
    """Read the name of a response header that may be added; ``off`` and ``true`` are meant to be none."""
    if not re.fullmatch(_NAME, value) or value.lower() in _TAKEN_HEADERS | _TRUE | _FALSE | {"none"}:
        raise BadValueError(
            "expected the name of a header that responses do not need themselves, such as x-trace-id"
        )
    return value


def hosts(value: str) -> tuple[str, ...]:
    """Split a comma-separated list of host names; entries that are no host fall away and are told."""
    found = lower_items(value)
    good = tuple(host for host in found if is_host(re.sub(r"\A\*?\.", "", host)))
    if len(good) < len(found):
        complaint = (
            "expected host names without scheme, port and path, such as api.example.com or *.example.com"
        )
        raise BadValueError(complaint, good)
    return good


def pairs(value: str) -> Mapping[str, str]:
    """Read ``key=value,…`` with percent-encoding, all or nothing as ``OTEL_RESOURCE_ATTRIBUTES`` demands.

    https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
    """
    found: dict[str, str] = {}
    for item in value.split(","):
        if not item.strip():
            continue
        key, equals, content = item.partition("=")
        try:
            key, content = (unquote(part.strip(), errors="strict") for part in (key, content))
        except UnicodeDecodeError:
            key = ""
        if not equals or not key:
            raise BadValueError(
                "expected key=value,… percent-encoded; the whole value is discarded, as specified"
            )
        found[key] = content
    return found


class SecretHeaders(dict[str, str]):
    """Headers whose values stay out of ``repr``."""

    def __repr__(self) -> str:
        """Return the names alone."""
        return repr(dict.fromkeys(self, MASK))

    __str__ = __repr__


def headers(value: str) -> SecretHeaders:
    """Read OTLP headers, ``key=value,…`` percent-encoded; bad pairs fall away and are told by their position.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
    """
    found = SecretHeaders()
    bad: list[str] = []
    for position, item in enumerate(value.split(","), start=1):
        if not item.strip():
            continue
        key, equals, content = item.partition("=")
        key, content = unquote(key.strip()).lower(), unquote(content.strip())
        # The values stay out of the message: they are credentials.
        if not equals or not re.fullmatch(_NAME, key):
            bad.append(f"pair {position} is not name=value")
        elif not (content.isascii() and content.isprintable()):
            bad.append(f"pair {position} ({key}) has characters that a header cannot carry")
        else:
            found[key] = content
    if bad:
        raise BadValueError(f"expected name=value,… percent-encoded, but {' and '.join(bad)}", found)
    return found


def thresholds(value: str) -> Mapping[str, float]:
    """Read ``/route=ms,…``; bad entries fall away and are told."""
    found: dict[str, float] = {}
    bad: list[str] = []
    for item in items(value):
        route, _, number = item.rpartition("=")
        try:
            milliseconds, meant = positive_ms(number.strip()), ""
        except BadValueError as error:
            milliseconds = error.used[0] if error.used and isinstance(error.used[0], float) else 0.0
            meant = f" ({milliseconds:g} was probably meant)"
        good = milliseconds > 0 and route.startswith("/")
        if good:
            found[unquote(route.strip())] = milliseconds
        if meant or not good:
            bad.append(f"{item!r}{meant if good else ''}")
    if bad:
        raise BadValueError(f"expected /route=milliseconds,… but found {', '.join(bad)}", found)
    return found
