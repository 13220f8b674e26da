"""What is wrong in settings and in arguments of public functions, collected until it is reported."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterable
from enum import Enum
from itertools import islice
from typing import Any, NamedTuple

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._guard import attempt_silently, warn_once
from eco2_tracing._redaction import printable
from eco2_tracing._settings.display import MASK, shown_endpoint, shown_text

# OTLP headers, also misspelled; the value of ECO2_TRACING_RESPONSE_HEADER is a name.
_MASKED_NAME = (
    r"(?i)(?<!_RESPONSE)(?<!_ID)_HEADERS?$|TOKEN|SECRET|PASSW|CREDENTIAL|AUTHORIZATION|_AUTH$|_KEY$|APIKEY"
)
_QUOTED = r"'[^']*'|\"[^\"]*\""
_VALUE_LENGTH, _TEXT_LENGTH, _ARGUMENT_LENGTH = 120, 500, 80
_MOST_ENTRIES = 1000
_TEXT = "a string"


class Problem(NamedTuple):
    """One problem of one variable."""

    variable: str
    found: str  # credentials masked
    used: str  # what is used instead, in words or as `repr`
    message: str  # the whole sentence: variable, value found, what is wrong, value used
    advisory: bool = False  # the value found *is* used; strict mode warns and does not raise


class BadValueError(ValueError):
    """A parser cannot use a text, or not all of it. Without a value that is used, the default is."""

    def __init__(self, complaint: str, *used: object) -> None:
        super().__init__(complaint)
        self.complaint = complaint
        self.used = used


class Findings:
    """Collects problems while settings are read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def replaced(self, variable: str, found: str, complaint: str, used: object) -> None:
        """Add a value that is not used as it is, with the value that is used; ``None`` is nothing."""
        self.replaced_by(variable, found, complaint, "nothing" if used is None else repr(used))

    def replaced_by(
        self, variable: str, found: str, complaint: str, used: str, *, advisory: bool = False
    ) -> None:
        """Add a value that is not used as it is, with what is used in words."""
        seen = shown(variable, found)
        used, complaint = (_masked(text, _TEXT_LENGTH) for text in (used, complaint))
        if shown_text(found) != found:
            # Both quote parts of a value that holds a credential, in another case for example.
            used, complaint = (re.sub(_QUOTED, repr(MASK), text) for text in (used, complaint))
        message = f"{variable}={seen!r}: {complaint}; using {used}"
        self.problems.append(Problem(variable, seen, used, message, advisory))

    def doubted(self, variable: str, found: str, complaint: str, used: str = "it as it is") -> None:
        """Add a value that is used although it looks like a mistake, or that another variable overrides."""
        self.replaced_by(variable, found, complaint, used, advisory=True)


def raise_wrong(problems: Iterable[Problem]) -> None:
    """Raise one `ConfigurationError` with every problem that is more than advice, if there is one."""
    if wrong := [problem.message for problem in problems if not problem.advisory]:
        raise ConfigurationError(wrong)


def shown(variable: str, text: str) -> str:
    """Return a value as a log may show it: bounded, credentials masked."""
    if re.search(_MASKED_NAME, variable):
        return MASK
    return _masked(shown_endpoint(text) if "ENDPOINT" in variable else text, _VALUE_LENGTH)


def _masked(text: str, length: int) -> str:
    text = shown_text(text)
    return text if len(text) <= length else f"{text[:length]}…"


class _Short(reprlib.Repr):
    """Bounds the nested containers that are read, which may contain each other many times."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxstring = self.maxlong = self.maxother = 2 * _ARGUMENT_LENGTH

    def repr_instance(self, x: object, level: int) -> str:
        """Return the object's own ``repr``, which may raise; of a container its type."""
        kind = type(x)
        flat = kind is bytes or not issubclass(kind, Collection)
        return repr(x) if flat else f"<{kind.__name__}>"


_short = _Short()


def shown_argument(value: object) -> str:
    """Return the ``repr`` of any object as a log may show it: bounded, credentials masked; never raises."""
    plain = str.__str__(value) if issubclass(type(value), str) else value
    text = attempt_silently(lambda: str.__str__(_short.repr(plain)), default=None)
    if text is None:
        return printable(value)
    return _masked(text[: 2 * _ARGUMENT_LENGTH], _ARGUMENT_LENGTH)


def unusable(
    function: str, name: str, value: object, takes: str, used: str, *, advisory: bool = False
) -> Problem:
    """Return the problem of a public function's argument: what it takes, and in words what is used instead."""
    found = shown_argument(value)
    message = f"{function}({name}={found}): {name} takes {takes}; using {used}"
    return Problem(f"{function}({name})", found, used, message, advisory)


def report_arguments(*problems: Problem | None, strict: bool = False) -> None:
    """Log one WARNING for each argument of each function, once in a process.

    Raises:
        ConfigurationError: In strict mode, with every problem that is more than advice.
    """
    found = [problem for problem in problems if problem is not None]
    if strict:
        raise_wrong(found)
    for problem in found:
        warn_once(f"argument:{problem.variable}", "%s", problem.message)


def plain_text(value: object) -> str:
    """Return the text of a string, of a member of an enumeration, of a number or of an object with a text.

    Raises:
        BadValueError: It has no text, or reading it fails.
    """
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)  # the value of a member of ``class Stage(str, Enum)``
    has_text = kind.__str__ is not object.__str__ or issubclass(kind, int | float)
    has_text = has_text and not issubclass(kind, bytes | bytearray)
    read = (lambda: plain_text(value.value)) if issubclass(kind, Enum) else lambda: str.__str__(str(value))  # type: ignore[attr-defined] # an enumeration's
    text = attempt_silently(read, default=None) if has_text else None
    if text is None:
        raise BadValueError(f"it takes {_TEXT}")
    return text


def text_argument(function: str, name: str, value: object, example: str) -> tuple[str | None, Problem | None]:
    """Return an argument that should be text, and its problem; ``example`` is a value that would work."""
    if value is None:
        return None, None
    takes = f"{_TEXT}, such as {example!r}"
    try:
        text = plain_text(value)
    except BadValueError:
        return None, unusable(function, name, value, takes, "nothing")
    if issubclass(type(value), int | float):
        return text, unusable(function, name, value, takes, repr(text), advisory=True)
    return text, None


def names_argument(
    function: str, name: str, value: object, takes: str, default: str
) -> tuple[tuple[str, ...] | None, Problem | None]:
    """Return an argument that should be names, in one text with commas or in several texts, and its problem.

    ``default`` says in words what is used where there is no name; the names are then ``None``. See also `unusable`.
    """
    if value is None:
        return None, None
    if issubclass(type(value), str):
        return tuple(str.__str__(value).split(",")), None
    found, wrong = _entries(value)
    texts = tuple(str.__str__(entry) for entry in found if issubclass(type(entry), str))
    if wrong or len(texts) < len(found):
        used = ", ".join(map(shown_argument, texts)) or default
        return texts or None, unusable(function, name, value, takes, used)
    return texts, None


def _entries(value: Any) -> tuple[list[Any], bool]:
    """Return the entries of an object as far as they can be read, and whether reading them failed."""
    found: list[Any] = []
    if issubclass(type(value), bytes | bytearray) or not issubclass(type(value), Iterable):
        return found, True

    def read() -> bool:
        found.extend(islice(value, _MOST_ENTRIES))
        return True

    return found, not attempt_silently(read, default=False)


def seconds_argument(function: str, value: Any, default: float) -> float:
    """Return an argument that should be seconds; any other value is reported, and its number or the default used."""
    kind = type(value)
    if issubclass(kind, int | float):
        return value  # type: ignore[no-any-return]
    read: float | None = attempt_silently(float, value, default=None)
    if read is not None and not issubclass(kind, str | bytes | bytearray):
        return read  # a `Decimal`, or a number of another package
    number = default if read is None else read
    takes = f"a number of seconds, such as {default}"
    report_arguments(unusable(function, "timeout_s", value, takes, str(number)))
    return number
