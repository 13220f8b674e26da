"""The name of a service, derived from the command that starts it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

_PART = r"[A-Za-z_]\w*"
_APPLICATION = re.compile(rf"({_PART}(?:\.{_PART})*):{_PART}(?:\.{_PART})*(?:\(.*\))?")
# They say nothing about the service.
_GENERIC = frozenset(
    """__main__ api app application asgi backend code core index main manage opt project run script server serve
    service site src start web wsgi""".split()  # noqa: SIM905 - a list of twenty literals is no easier to read
)
_SERVERS = frozenset({"fastapi", "granian", "gunicorn", "hypercorn", "uvicorn"})


def service_name(arguments: Sequence[str], folder: str) -> str:
    """Return the name of a service: its package or script, else its folder.

    Args:
        arguments: The command, beginning with the program's name.
        folder: The working directory.
    """
    for candidate in (*_candidates(arguments), os.path.basename(folder)):
        if candidate and candidate.lower() not in _GENERIC:
            return candidate
    return next(filter(None, _candidates(arguments)), "app")


def _candidates(arguments: Sequence[str]) -> list[str]:
    """Return names from the command, the most telling first."""
    found: list[str] = []
    for argument in arguments[1:]:
        if application := _APPLICATION.fullmatch(argument):
            found += application[1].split(".")
    name, *rest = arguments
    module = rest[rest.index("-m") + 1 :][:1] if "-m" in rest else []
    if module and module[0].partition(".")[0] not in _SERVERS:
        found += module[0].split(".")
    if script := next((each for each in rest if each.endswith(".py")), None):
        path, _ = os.path.splitext(script)
        found += [os.path.basename(path), os.path.basename(os.path.dirname(path))]
    stem = os.path.basename(name)
    if stem not in _SERVERS and not stem.startswith(("python", "pypy")):
        found.append(stem)
    return found
