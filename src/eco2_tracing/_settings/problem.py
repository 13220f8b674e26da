"""What is wrong in a configuration, collected until it is reported."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._settings.display import MASK, shown_endpoint, shown_text

# OTLP headers, also misspelled; the value of ECO2_TRACING_RESPONSE_HEADER is a name.
_MASKED_NAME = (
    r"(?i)(?<!_RESPONSE)(?<!_ID)_HEADERS?$|TOKEN|SECRET|PASSW|CREDENTIAL|AUTHORIZATION|_AUTH$|_KEY$|APIKEY"
)
_QUOTED = r"'[^']*'|\"[^\"]*\""
_VALUE_LENGTH, _TEXT_LENGTH = 120, 500


class Problem(NamedTuple):
    """One problem of one variable.

    Attributes:
        variable: Its name.
        found: The value found, credentials masked.
        used: What is used instead, in words or as ``repr``.
        message: The whole sentence: variable, value found, what is wrong, value used.
        advisory: The value found *is* used; strict mode warns and does not raise.
    """

    variable: str
    found: str
    used: str
    message: str
    advisory: bool = False


class BadValueError(ValueError):
    """A parser cannot use a text, or not all of it.

    Args:
        complaint: What is wrong, or what was expected.
        used: The value that is used; without it the default is used.
    """

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
        seen, used, complaint = (
            shown(variable, found),
            _masked(used, _TEXT_LENGTH),
            _masked(complaint, _TEXT_LENGTH),
        )
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
