"""Lists of regular expressions: those that do not compile or take too long are dropped and reported."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Mapping, MutableMapping

from eco2_tracing._settings.parse import items
from eco2_tracing._settings.problem import BadValueError, Findings, Problem

_FLAGS = r"(?s)\A\(\?([aimsux]+)\)(.*)"
_NO_EXPRESSION, _SLOW = "no regular expression: ", "takes too long on some texts: "
_READ_BY_CONTRIB = r"OTEL_PYTHON_([A-Z0-9_]+_)?EXCLUDED_URLS|OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_\w+"


def patterns(value: str) -> tuple[str, ...]:
    """Split a comma-separated list of regular expressions; those that cannot be used are dropped and reported."""
    found = items(value)
    # They are joined where they are used: flags become local, and names of groups must not repeat.
    good = {item: re.sub(_FLAGS, r"(?\1:\2)", item) for item in found if _compiles(item)}
    if not _compiles(_joined(good)):
        fitting: dict[str, str] = {}
        for item, scoped in good.items():
            if _compiles(_joined({**fitting, item: scoped})):
                fitting[item] = scoped
        good = fitting
    slow = [item for item, scoped in good.items() if _takes_too_long(scoped)]
    used = tuple(scoped for item, scoped in good.items() if item not in slow)
    complaints = {_NO_EXPRESSION: [item for item in found if item not in good], _SLOW: slow}
    if len(used) < len(found):
        listed = (what + _listed(each) for what, each in complaints.items() if each)
        raise BadValueError("; ".join(listed), used)
    return used


def withhold_expressions(environ: MutableMapping[str, str] = os.environ) -> tuple[Problem, ...]:
    """Remove expressions that take too long from the variables that contrib's instrumentations read by themselves.

    Returns:
        One problem for each variable that was changed.
    """
    findings = Findings()
    for variable, text in [*environ.items()]:
        if not re.fullmatch(_READ_BY_CONTRIB, variable):
            continue
        slow = [item for item in items(text) if _compiles(item) and _takes_too_long(item)]
        if not slow:
            continue
        good = tuple(item for item in items(text) if item not in slow)
        findings.replaced(variable, text, _SLOW + _listed(slow), good)
        environ[variable] = ",".join(good)
    return tuple(findings.problems)


def _listed(expressions: Iterable[str]) -> str:
    return ", ".join(map(repr, expressions))


def _joined(expressions: Mapping[str, str]) -> str:
    return "|".join(f"(?:{each})" for each in expressions.values())


def _takes_too_long(expression: str) -> bool:
    from eco2_tracing._settings.explosive import takes_too_long  # most starts have no expression

    return takes_too_long(expression)


def _compiles(pattern: str) -> bool:
    try:
        with warnings.catch_warnings():
            # A pattern with a warning of `re` would warn again at each use, and raise where warnings are errors.
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning):
        return False
    return True
