"""Parsers: from the text of a variable to its value.

Each parser takes text that is neither empty nor padded. It returns the value or raises `BadValueError`. The types are
those of the specification: https://opentelemetry.io/docs/specs/otel/configuration/common/
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote

from eco2_tracing._settings.display import MASK
from eco2_tracing._settings.hosts import is_host
from eco2_tracing._settings.probable import (
    NUMBER,
    probable_boolean,
    probable_count,
    probable_milliseconds,
    probable_rate,
)
from eco2_tracing._settings.problem import BadValueError

MAX_INT = 2**31 - 1
# Compiled by `re` at the first use: most starts use none of them.
_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}"
# Headers that frame or protect a response, and words that are no header's name.
_NO_RESPONSE_HEADER = r"""(?xi) connection | content-(?:encoding|length|type) | location | set-cookie
    | transfer-encoding | upgrade | true | 1 | yes | on | false | 0 | no | off | none"""
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def spec_boolean(value: str) -> bool:
    """Parse a boolean of the specification: only ``true`` is true; any other word is false and reported."""
    word = value.lower()
    if word not in ("true", "false"):
        # The specification forbids further spellings of true: this one is suggested, not used.
        meant = f"; {'true'!r} was probably meant" if probable_boolean(value) else ""
        raise BadValueError(f"expected true or false{meant}", False)
    return word == "true"


def boolean(value: str) -> bool:
    """Parse a boolean of this library: ``true``, ``1``, ``yes``, ``on`` or their opposites."""
    word = value.lower()
    if word not in _TRUE | _FALSE:
        raise _unusable("expected true or false", probable_boolean(value))
    return word in _TRUE


def _unusable(complaint: str, meant: object) -> BadValueError:
    """Return the error for a value in whose place the one that was probably meant is used, unless it is ``None``."""
    if meant is None:
        return BadValueError(complaint)
    written = str(meant).lower() if isinstance(meant, bool) else f"{meant:.10g}"
    return BadValueError(f"{complaint}; {written} was probably meant", meant)


def integer(minimum: int, unit: str = "") -> Callable[[str], int]:
    """Return a parser of whole numbers from ``minimum`` to 2**31 - 1."""

    def parse(value: str) -> int:
        number = int(value) if re.fullmatch(r"[+-]?[0-9]{1,10}", value) else -1
        if not minimum <= number <= MAX_INT:
            meant = probable_milliseconds(value) if unit else probable_count(value)
            whole = meant is not None and minimum <= meant <= MAX_INT and float(meant).is_integer()
            complaint = f"expected a whole number{unit} from {minimum} to {MAX_INT}"
            raise _unusable(complaint, int(meant) if meant is not None and whole else None)
        return number

    return parse


count = integer(0)
positive = integer(1)
milliseconds = integer(1, " of milliseconds")
_milliseconds_or_none = integer(0, " of milliseconds")


def port(value: str) -> int:
    """Parse the number of a port."""
    number = positive(value)
    if number > 65_535:
        raise BadValueError("expected a port from 1 to 65535")
    return number


def timeout(value: str) -> int:
    """Parse milliseconds; 0 means no limit, which is the largest number here, as is every larger one."""
    if re.fullmatch("[0-9]+", value) and int(value.lstrip("0")[:11] or 0) > MAX_INT:
        return MAX_INT
    return _milliseconds_or_none(value) or MAX_INT


def _number(value: str) -> float:
    return float(value) if re.fullmatch(f"(?i){NUMBER}", value) else math.nan


def rate(value: str) -> float:
    """Parse a probability."""
    number = _number(value)
    if not 0 <= number <= 1:
        raise _unusable("expected a number from 0 to 1", probable_rate(value))
    return number


def positive_ms(value: str) -> float:
    """Parse a number of milliseconds above 0."""
    number = _number(value)
    if not 0 < number < math.inf:
        raise _unusable("expected a number of milliseconds above 0", probable_milliseconds(value) or None)
    return number


def one_of(*allowed: str, **also: str) -> Callable[[str], str]:
    """Return a parser of words, in any case; ``also`` maps further words to allowed ones."""

    def parse(value: str) -> str:
        word = value.lower()
        word = also.get(word, word)
        if word not in allowed:
            raise BadValueError(f"expected one of {', '.join(allowed)}{did_you_mean(word, allowed)}")
        return word

    return parse


log_level = one_of(
    *("debug", "info", "warning", "error", "critical"), trace="debug", warn="warning", fatal="critical"
)


def trace_url(value: str) -> str:
    """Parse the address of a trace in a viewer: with ``{trace_id}``, else of a viewer that serves ``/trace/<id>``."""
    if not re.fullmatch(r"https?://[!-~]+", value):
        raise BadValueError("expected a URL such as http://127.0.0.1:16686/trace/{trace_id}")
    return value if "{trace_id}" in value else f"{value.rstrip('/')}/trace/{{trace_id}}"


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return a question that suggests the allowed word that is most similar to one in lower case, or no text."""
    from difflib import get_close_matches  # rarely needed, and its import is not free

    # The beginning of an allowed word, such as `http` of `http/protobuf`, is similar enough.
    close = [each for each in allowed if len(word) > 2 and each.startswith(word)]
    close = close or get_close_matches(word[:60], list(allowed), n=1, cutoff=0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def items(value: str) -> tuple[str, ...]:
    """Split a comma-separated list; empty items and repeats are dropped, the order is kept."""
    return tuple(dict.fromkeys(item for part in value.split(",") if (item := part.strip())))


def lower_items(value: str) -> tuple[str, ...]:
    """Split a comma-separated list of names in any case."""
    return items(value.lower())


def _good_items(value: str, is_good: Callable[[str], object], complaint: str) -> tuple[str, ...]:
    found = lower_items(value)
    good = tuple(filter(is_good, found))
    if len(good) < len(found):
        raise BadValueError(complaint, good)
    return good


def instrumentation_names(value: str) -> tuple[str, ...]:
    """Split a comma-separated list of names, or ``*``; texts that cannot be names are dropped and reported."""
    complaint = "expected names of instrumentations, such as redis"
    return _good_items(value, re.compile(r"[a-z0-9._-]{1,100}\Z|\*\Z").match, complaint)


def hosts(value: str) -> tuple[str, ...]:
    """Split a comma-separated list of host names; texts that cannot be hosts are dropped and reported."""
    complaint = "expected host names without scheme, port and path, such as api.example.com or *.example.com"
    return _good_items(value, lambda host: is_host(re.sub(r"\A\*?\.", "", host)), complaint)


def key_set(value: str) -> frozenset[str]:
    """Split a comma-separated list into a set of lower-case keys."""
    return frozenset(lower_items(value))


def some_of(*allowed: str) -> Callable[[str], frozenset[str]]:
    """Return a parser of comma-separated lists of words, in any case; other words are dropped and reported."""

    def parse(value: str) -> frozenset[str]:
        found = key_set(value)
        if not found <= {*allowed}:
            close = "".join(did_you_mean(word, allowed) for word in sorted(found - {*allowed})[:1])
            raise BadValueError(f"expected some of {', '.join(allowed)}{close}", found & {*allowed})
        return found

    return parse


def header_name(value: str) -> str:
    """Parse the name of a response header that may be added."""
    if not re.fullmatch(_NAME, value) or re.fullmatch(_NO_RESPONSE_HEADER, value):
        taken = "a header that responses do not need themselves, such as x-trace-id"
        raise BadValueError(f"expected the name of {taken}")
    return value


def pairs(value: str) -> Mapping[str, str]:
    """Parse ``key=value,…`` with percent-encoding; one bad pair discards all, as specified.

    https://opentelemetry.io/docs/specs/otel/resource/sdk/#specifying-resource-information-via-an-environment-variable
    """
    found: dict[str, str] = {}
    for item in filter(str.strip, value.split(",")):
        key, equals, content = item.partition("=")
        try:
            key, content = (unquote(part.strip(), errors="strict") for part in (key, content))
        except UnicodeDecodeError:
            key = ""
        if not equals or not key:
            discarded = "the whole value is discarded, as specified"
            raise BadValueError(f"expected key=value,… percent-encoded; {discarded}")
        found[key] = content
    return found


class SecretHeaders(dict[str, str]):
    """Headers whose values are masked in ``repr``."""

    def __repr__(self) -> str:
        """Return the names with masked values."""
        return repr(dict.fromkeys(self, MASK))

    __str__ = __repr__


def headers(value: str) -> SecretHeaders:
    """Parse OTLP headers, ``key=value,…`` percent-encoded; bad pairs are dropped and reported by their position.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
    """
    found = SecretHeaders()
    bad: list[str] = []
    for position, item in enumerate(value.split(","), start=1):
        if not item.strip():
            continue
        key, equals, content = item.partition("=")
        key, content = unquote(key.strip()).lower(), unquote(content.strip())
        # The values are not in the message: they are credentials.
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
    """Parse ``/route=ms,…``; bad entries are dropped and reported."""
    found: dict[str, float] = {}
    bad: list[str] = []
    for item in items(value):
        route, _, text = item.rpartition("=")
        number = _number(text.strip())
        exact = 0 < number < math.inf
        used = number if exact else probable_milliseconds(text.strip())
        if not (used and route.startswith("/")):
            bad.append(repr(item))
            continue
        found[unquote(route.strip())] = used
        if not exact:
            bad.append(f"{item!r} ({used:g} was probably meant)")
    if bad:
        raise BadValueError(f"expected /route=milliseconds,… but found {', '.join(bad)}", found)
    return found
