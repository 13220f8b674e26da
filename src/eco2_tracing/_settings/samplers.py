"""``OTEL_TRACES_SAMPLER`` and its argument: what they mean, and what was probably meant."""

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

SAMPLERS = (
    *("always_on", "always_off", "traceidratio", "rate_limiting", "jaeger_remote"),
    *("parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"),
    *("parentbased_rate_limiting", "parentbased_jaeger_remote"),
)
SAMPLER, ARG = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
RATIO = "parentbased_traceidratio"
_DEFAULT = Settings.traces_sampler
_KINDS = {
    **dict.fromkeys(("alwayson", "on", "always", "all", "true"), "always_on"),
    **dict.fromkeys(("alwaysoff", "off", "never", "none", "false"), "always_off"),
    **dict.fromkeys(
        (
            "traceidratio",
            "traceidratiobased",
            "ratio",
            "ratiobased",
            "traceid",
            "probability",
            "probabilistic",
        ),
        "traceidratio",
    ),
    **dict.fromkeys(("ratelimiting", "ratelimited", "ratelimit"), "rate_limiting"),
    **dict.fromkeys(("jaegerremote", "remote", "jaeger"), "jaeger_remote"),
}
_NAME_AND_NUMBER = r"([^0-9]*[a-z])[^a-z0-9.,]*([0-9.,][^()\[\]{}]*)[\s()\[\]{}]*"
_NAME_AND_TEXT = r"([a-z_./ -]*[a-z])\s*[(=:,;|\[{]\s*(.+)"
_known = one_name("opentelemetry_traces_sampler", *SAMPLERS)


class Meant(NamedTuple):
    """The sampler that a text probably means.

    Attributes:
        name: One of `SAMPLERS`.
        arg: The argument that the text contains; ``None`` without one.
    """

    name: str
    arg: str | None = None


def probable_sampler(text: str) -> Meant | None:
    """Find the sampler that a text means which is no sampler's name.

    Args:
        text: For example ``trace_id_ratio``, ``parent-based/ratio``, ``traceidratio:0.1`` or ``10%``.
    """
    low = text.lower().strip()
    if low[:1] in "0123456789.," and (share := probable_rate(low)) is not None:
        return Meant(RATIO, f"{share:.10g}")
    kind = _kind(low)
    if kind is not None and not re.search(r"\d", low):
        return Meant(_full(kind, low))
    for pattern in (_NAME_AND_NUMBER, _NAME_AND_TEXT):
        if (found := re.fullmatch(pattern, low)) and _kind(found[1]) == "traceidratio":
            share = probable_rate(found[2])
            # Whoever writes an argument does not want everything.
            return Meant(_full("traceidratio", found[1]), f"{SAFE_RATE if share is None else share:.10g}")
    return None if kind is None else Meant(_full(kind, low))


def _kind(text: str) -> str | None:
    letters = re.sub("[^a-z]", "", text)
    return "always_on" if letters == "parentbased" else _KINDS.get(letters.replace("parentbased", ""))


def _full(kind: str, text: str) -> str:
    return f"parentbased_{kind}" if "parentbased" in re.sub("[^a-z]", "", text) else kind


def read_sampler(find: Find, findings: Findings) -> dict[str, str | None]:
    """Return the fields ``traces_sampler`` and ``traces_sampler_arg``.

    A sampler or a share that cannot be used is replaced by the one that was probably meant. Everything is
    sampled in its place only where that was meant.

    Args:
        find: Finds the variable that is set, and its text.
        findings: Where problems are noted.
    """
    named, argument = find([SAMPLER]), find([ARG])
    arg = argument[1] if argument else None
    sampler = _DEFAULT
    if named is not None:
        try:
            sampler = str(_known(named[1]))
        except BadValueError as bad:
            sampler, arg = _replaced(named, bad.complaint, arg, findings)
    if argument is None:
        return {"traces_sampler": sampler, "traces_sampler_arg": arg}
    return {"traces_sampler": sampler, "traces_sampler_arg": _argument(sampler, argument, arg, findings)}


def _replaced(
    named: tuple[str, str], complaint: str, arg: str | None, findings: Findings
) -> tuple[str, str | None]:
    """Note a name that is unknown; return the sampler to use, and its argument."""
    variable, text = named
    meant = probable_sampler(text)
    if meant is None and arg is not None and probable_rate(arg) is not None:
        meant = Meant(RATIO)  # whoever sets a share does not want everything
    if meant is None or meant.name.endswith("always_on"):
        if meant is not None:
            complaint = f"{_without_guess(complaint)}; did you mean {meant.name!r}?"
        findings.replaced(variable, text, complaint, _DEFAULT)
        return _DEFAULT, arg
    used = meant.name if meant.arg is None or arg is not None else f"{meant.name} with {ARG}={meant.arg}"
    findings.replaced(variable, text, f"{_without_guess(complaint)}; {used} was probably meant", used)
    return meant.name, meant.arg if arg is None else arg


def _without_guess(complaint: str) -> str:
    """Take the name that is merely spelled alike out of a complaint: another one was probably meant."""
    return re.sub(r", did you mean '[^']*'\?", "", complaint)


def _argument(sampler: str, argument: tuple[str, str], arg: str | None, findings: Findings) -> str | None:
    variable, text = argument
    if sampler.endswith(("always_on", "always_off")):
        complaint = f"the sampler {sampler} takes no argument"
        if (share := probable_rate(text)) is not None:
            complaint += f", set {SAMPLER}={RATIO} and {ARG}={share:.10g}"
        findings.supplanted(variable, text, complaint, "nothing")
    elif sampler.endswith("traceidratio"):
        try:
            rate(text)
        except BadValueError as bad:
            used = bad.used[0] if bad.used else SAFE_RATE
            findings.replaced(variable, text, bad.complaint, used)
            return f"{used:.10g}"
    return arg
