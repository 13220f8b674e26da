"""What is wrong with a configuration, kept until somebody reports it."""

from __future__ import annotations

import re
from typing import NamedTuple

from eco2_tracing._settings.display import MASK, shown_endpoint, shown_text

# OTLP headers, also misspelled; ECO2_TRACING_RESPONSE_HEADER is a name.
_MASKED_NAME = (
    r"(?i)(?<!_RESPONSE)(?<!_ID)_HEADERS?$|TOKEN|SECRET|PASSW|CREDENTIAL|AUTHORIZATION|_AUTH$|_KEY$|APIKEY"
)
_QUOTED = r"'[^']*'|\"[^\"]*\""
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

    def replaced_by(self, variable: str, found: str, complaint: str, used: str) -> None:
        """Note a value that is not used as it stands, with the value used in words."""
        self._note(variable, found, complaint, used, advisory=False)

    def doubted(self, variable: str, found: str, complaint: str) -> None:
        """Note a value that is used although it looks like a mistake."""
        self._note(variable, found, complaint, "it as it is", advisory=True)

    def supplanted(self, variable: str, found: str, complaint: str, used: str) -> None:
        """Note a value that works, though under a name or in a form that others beat."""
        self._note(variable, found, complaint, used, advisory=True)

    def _note(self, variable: str, found: str, complaint: str, used: str, *, advisory: bool) -> None:
        seen, used, complaint = shown(variable, found), _masked(used, _SAID), _masked(complaint, _SAID)
        if shown_text(found) != found:
            # Both quote parts of a value that holds a credential, in another case for example.
            used, complaint = (re.sub(_QUOTED, repr(MASK), text) for text in (used, complaint))
        message = f"{variable}={seen!r}: {complaint}; using {used}"
        self.problems.append(Problem(variable, seen, used, message, advisory))


def shown(variable: str, text: str) -> str:
    """Return a value as a log may show it: bounded, credentials masked."""
    if re.search(_MASKED_NAME, variable):
        return MASK
    return _masked(shown_endpoint(text) if "ENDPOINT" in variable else text, _SHOWN)


def _masked(text: str, length: int) -> str:
    text = shown_text(text)
    return text if len(text) <= length else f"{text[:length]}…"
