"""Reads ``OTEL_TRACES_SAMPLER`` and its argument."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from eco2_tracing._settings.fields import Settings
from eco2_tracing._settings.installed import one_name
from eco2_tracing._settings.parse import rate
from eco2_tracing._settings.probable import SAFE_RATE, probable_rate
from eco2_tracing._settings.problem import BadValueError, Findings

Find = Callable[[Iterable[str]], "tuple[str, str] | None"]

SAMPLER, ARG = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
RATIO = "parentbased_traceidratio"
_DEFAULT = Settings.traces_sampler
# Other spellings of each sampler, without punctuation.
_SPELLINGS = {
    "always_on": "alwayson on always all true",
    "always_off": "alwaysoff off never none false",
    "traceidratio": "traceidratio traceidratiobased ratio ratiobased traceid probability probabilistic",
    "rate_limiting": "ratelimiting ratelimited ratelimit",
    "jaeger_remote": "jaegerremote remote jaeger",
}
SAMPLERS = (*_SPELLINGS, *(f"parentbased_{kind}" for kind in _SPELLINGS))
_KINDS = {word: kind for kind, words in _SPELLINGS.items() for word in words.split()}
_NAME_AND_NUMBER = r"([^0-9]*[a-z])[^a-z0-9.,]*([0-9.,][^()\[\]{}]*)[\s()\[\]{}]*"
_NAME_AND_TEXT = r"([a-z_./ -]*[a-z])\s*[(=:,;|\[{]\s*(.+)"
_known = one_name("opentelemetry_traces_sampler", *SAMPLERS)


class Meant(NamedTuple):
    """The sampler that a text probably means, with the argument that the text contains."""

    name: str
    arg: str | None = None


def probable_sampler(text: str) -> Meant | None:
    """Return the sampler that a text such as ``trace_id_ratio``, ``traceidratio:0.1`` or ``10%`` probably means."""
    low = text.lower().strip()
    if low[:1] in "0123456789.," and (share := probable_rate(low)) is not None:
        return Meant(RATIO, f"{share:.10g}")
    sampler = _sampler(low)
    if sampler is not None and not re.search(r"\d", low):
        return Meant(sampler)
    for pattern in (_NAME_AND_NUMBER, _NAME_AND_TEXT):
        found = re.fullmatch(pattern, low)
        if found and (ratio := _sampler(found[1])) and ratio.endswith("traceidratio"):
            share = probable_rate(found[2])
            # An argument is set, so not everything is meant to be sampled.
            return Meant(ratio, f"{SAFE_RATE if share is None else share:.10g}")
    return Meant(sampler) if sampler else None


def _sampler(text: str) -> str | None:
    letters = re.sub("[^a-z]", "", text)
    kind = "always_on" if letters == "parentbased" else _KINDS.get(letters.replace("parentbased", ""))
    return f"parentbased_{kind}" if kind and "parentbased" in letters else kind


def read_sampler(find: Find, findings: Findings) -> dict[str, str | None]:
    """Return the fields ``traces_sampler`` and ``traces_sampler_arg``.

    A sampler or a share that cannot be used is replaced by the one that was probably meant. Everything is
    sampled in its place only where that was meant.
    """
    named, argument = find([SAMPLER]), find([ARG])
    arg = argument[1] if argument else None
    sampler = _DEFAULT
    if named is not None:
        try:
            sampler = _known(named[1])
        except BadValueError as bad:
            sampler, arg = _replaced(named, bad.complaint, arg, findings)
    if argument is None:
        return {"traces_sampler": sampler, "traces_sampler_arg": arg}
    return {"traces_sampler": sampler, "traces_sampler_arg": _argument(sampler, argument, arg, findings)}


def _replaced(
    named: tuple[str, str], complaint: str, arg: str | None, findings: Findings
) -> tuple[str, str | None]:
    """Report an unknown name; return the sampler to use, and its argument."""
    variable, text = named
    meant = probable_sampler(text)
    if meant is None and arg is not None and probable_rate(arg) is not None:
        meant = Meant(RATIO)  # a share is set, so not everything is meant to be sampled
    if meant is None or meant.name.endswith("always_on"):
        if meant is not None:
            complaint = f"{_without_guess(complaint)}; did you mean {meant.name!r}?"
        findings.replaced(variable, text, complaint, _DEFAULT)
        return _DEFAULT, arg
    used = meant.name if meant.arg is None or arg is not None else f"{meant.name} with {ARG}={meant.arg}"
    findings.replaced(variable, text, f"{_without_guess(complaint)}; {used} was probably meant", used)
    return meant.name, meant.arg if arg is None else arg


def _without_guess(complaint: str) -> str:
    """Return a complaint without the name of similar spelling: another one was probably meant."""
    return re.sub(r", did you mean '[^']*'\?", "", complaint)


def _argument(sampler: str, argument: tuple[str, str], arg: str | None, findings: Findings) -> str | None:
    variable, text = argument
    if sampler.endswith(("always_on", "always_off")):
        complaint = f"the sampler {sampler} takes no argument"
        if (share := probable_rate(text)) is not None:
            complaint += f", set {SAMPLER}={RATIO} and {ARG}={share:.10g}"
        findings.doubted(variable, text, complaint, "nothing")
    elif sampler.endswith("traceidratio"):
        try:
            rate(text)
        except BadValueError as bad:
            used = bad.used[0] if bad.used else SAFE_RATE
            findings.replaced(variable, text, bad.complaint, used)
            return f"{used:.10g}"
    return arg
