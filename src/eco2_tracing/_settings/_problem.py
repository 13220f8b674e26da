"""What is wrong with a configuration, kept until somebody reports it."""

from __future__ import annotations

import re
from typing import NamedTuple

from eco2_tracing._redaction import Redactor

MASK = "**********"
# OTLP headers, also misspelled; ECO2_TRACING_RESPONSE_HEADER is a name.
_MASKED_NAME = r"(?i)(?<!_RESPONSE)_HEADERS?$|TOKEN|SECRET|PASSWORD|_KEY$"
# Greedy, because a password with a slash makes no URL but is a password still.
_USERINFO = r"(^|//|['\"])\S*@"
_SHOWN, _SAID = 120, 500


class Problem(NamedTuple):
    """One thing to tell about one variable.

    Attributes:
        variable: Its name.
        found: The value found, secrets masked.
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
        used: What remains usable; without it the default is used.
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
        """Note a value that is not used as it stands."""
        self._note(variable, found, complaint, "nothing" if used is None else repr(used), advisory=False)

    def doubted(self, variable: str, found: str, complaint: str) -> None:
        """Note a value that is used although it looks like a mistake."""
        self._note(variable, found, complaint, "it as it is", advisory=True)

    def supplanted(self, variable: str, found: str, complaint: str, used: str) -> None:
        """Note a value that works, though under a name or in a form that others beat."""
        self._note(variable, found, complaint, used, advisory=True)

    def _note(self, variable: str, found: str, complaint: str, used: str, *, advisory: bool) -> None:
        seen, used = shown(variable, found), _masked(used, _SAID)
        # Complaints quote parts of the value: a credential may stand in any variable by mistake.
        message = f"{variable}={seen!r}: {_masked(complaint, _SAID)}; using {used}"
        self.problems.append(Problem(variable, seen, used, message, advisory))


def shown(variable: str, text: str) -> str:
    """Return a value as a log may show it: bounded, credentials masked."""
    if re.search(_MASKED_NAME, variable):
        return MASK
    return _masked(text, _SHOWN)


def _masked(text: str, length: int) -> str:
    text = Redactor().text(re.sub(_USERINFO, rf"\1{MASK}@", text))
    return text if len(text) <= length else f"{text[:length]}…"
