"""Arguments of public functions: what cannot be used is reported once, with the value that is used instead."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Iterable
from enum import Enum
from itertools import islice
from typing import Any

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._guard import warn_once
from eco2_tracing._redaction import printable
from eco2_tracing._settings.display import shown_text
from eco2_tracing._settings.problem import BadValueError, Problem

_SHOWN = 80
_MOST_ENTRIES = 1000
_TEXT = "a string"


class _Short(reprlib.Repr):
    """Bounds what is read of nested containers, which may hold each other many times over."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxstring = self.maxlong = self.maxother = 2 * _SHOWN

    def repr_instance(self, x: object, level: int) -> str:
        """Return the object's own ``repr``, whose failure is the caller's to handle; of containers the type."""
        kind = type(x)
        flat = kind is bytes or not issubclass(kind, Collection)
        return repr(x) if flat else f"<{kind.__name__}>"


_short = _Short()


def shown_argument(value: object) -> str:
    """Return the ``repr`` of any object as a log may show it: bounded, credentials masked; never raises.

    Args:
        value: What a function was given.
    """
    try:
        text = str.__str__(_short.repr(str.__str__(value) if issubclass(type(value), str) else value))
    except BaseException:  # noqa: BLE001 - the object is the application's
        return printable(value)
    text = shown_text(text[: 2 * _SHOWN])
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def unusable(
    function: str, name: str, value: object, takes: str, used: str, *, advisory: bool = False
) -> Problem:
    """Describe an argument that cannot be used as it stands.

    Args:
        function: The public function.
        name: The argument.
        value: What was found.
        takes: What to write instead.
        used: What is used, in words.
        advisory: Whether strict mode lets it pass.
    """
    found = shown_argument(value)
    message = f"{function}({name}={found}): {name} takes {takes}; using {used}"
    return Problem(f"{function}({name})", found, used, message, advisory)


def report_arguments(*problems: Problem | None, strict: bool = False) -> None:
    """Log one WARNING for each argument of each function, however often it is found.

    Args:
        problems: What is wrong.
        strict: Whether it raises instead.

    Raises:
        ConfigurationError: In strict mode, with every problem that is more than advice.
    """
    found = [problem for problem in problems if problem is not None]
    if strict and (wrong := [problem.message for problem in found if not problem.advisory]):
        raise ConfigurationError(wrong)
    for problem in found:
        warn_once(f"argument:{problem.variable}", "%s", problem.message)


def plain_text(value: object) -> str:
    """Return the text of a string, of a member of an enumeration, of a number or of an object that has one.

    Args:
        value: Any object.

    Raises:
        BadValueError: It has none, or reading it fails.
    """
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)  # of a member of ``class Stage(str, Enum)`` its value
    has_text = kind.__str__ is not object.__str__ or issubclass(kind, int | float)
    if not has_text or issubclass(kind, bytes | bytearray):
        raise BadValueError(f"it takes {_TEXT}")
    try:
        return plain_text(value.value) if issubclass(kind, Enum) else str.__str__(str(value))  # type: ignore[attr-defined]
    except BaseException:  # noqa: BLE001 - the object is the application's
        raise BadValueError(f"it takes {_TEXT}") from None


def text_argument(function: str, name: str, value: object, example: str) -> tuple[str | None, Problem | None]:
    """Return an argument that should be text, and what is wrong with it.

    Args:
        function: The public function.
        name: The argument.
        value: What it was given.
        example: A value that would work.
    """
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
    """Return an argument that should be names, as one string with commas or as several, and what is wrong with it.

    Args:
        function: The public function.
        name: The argument.
        value: What it was given.
        takes: What to write instead.
        default: What is used where there is no name, in words.

    Returns:
        The names; ``None`` for the default.
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
    """Return what an object holds as far as it can be read, and whether reading it failed."""
    found: list[Any] = []
    if issubclass(type(value), bytes | bytearray) or not issubclass(type(value), Iterable):
        return found, True
    try:
        found.extend(islice(value, _MOST_ENTRIES))
    except BaseException:  # noqa: BLE001 - the object is the application's
        return found, True
    return found, False


def seconds_argument(function: str, value: Any, default: float) -> float:
    """Return an argument that should be seconds; report it where it is something else.

    Args:
        function: The public function.
        value: What it was given.
        default: Used in its place.
    """
    kind = type(value)
    if issubclass(kind, int | float):
        return value  # type: ignore[no-any-return]
    try:
        number = float(value)
    except BaseException:  # noqa: BLE001 - the object is the application's
        number = default
    else:
        if not issubclass(kind, str | bytes | bytearray):
            return number  # a `Decimal`, or a number of another package
    takes = f"a number of seconds, such as {default}"
    report_arguments(unusable(function, "timeout_s", value, takes, str(number)))
    return number
