"""Configuration problems that the settings alone do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eco2_tracing._instrumentation.libraries.lookup import unusable_instrumentations
from eco2_tracing._settings import Problem, shown, withhold_expressions

if TYPE_CHECKING:
    from eco2_tracing._lifecycle.tracing import Tracing
    from eco2_tracing._settings import Settings

_SAMPLER = "OTEL_TRACES_SAMPLER"


def further_problems(tracing: Tracing) -> list[Problem]:
    """Return the problems of the sampler, the instrumentations and contrib's variables.

    Args:
        tracing: The configuration, not yet installed.
    """
    settings = tracing.settings
    return [*_sampler_problems(tracing), *_strict_problems(settings), *_withheld(settings)]


def _sampler_problems(tracing: Tracing) -> list[Problem]:
    built = tracing.sampler
    if built is None:
        return []
    found = shown(_SAMPLER, tracing.settings.traces_sampler)
    wrong = [Problem(_SAMPLER, found, built.name, text) for text in built.problems]
    advice = [Problem(_SAMPLER, found, built.name, text, advisory=True) for text in built.advice]
    return [*wrong, *advice]


def _withheld(settings: Settings) -> list[Problem]:
    """Return the problems of regular expressions that contrib's instrumentations read from the environment."""
    known = {problem.variable for problem in settings.problems}
    return [problem for problem in withhold_expressions() if problem.variable not in known]


def _strict_problems(settings: Settings) -> list[Problem]:
    """Return the instrumentations that cannot be used. Outside strict mode these are warnings of a later step."""
    if not settings.strict:
        return []
    found = unusable_instrumentations(settings.instrumentations)
    return [Problem("ECO2_TRACING_INSTRUMENTATIONS", name, "nothing", text) for name, text in found]
