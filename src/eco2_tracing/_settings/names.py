"""Names of propagators, exporters, samplers and id generators, and older names of variables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from typing import NamedTuple

from eco2_tracing._settings.parse import boolean, did_you_mean, lower_items, rate
from eco2_tracing._settings.probable import SAFE_RATE, probable_rate
from eco2_tracing._settings.problem import BadValueError, Findings

_CURES = {
    ("opentelemetry_propagator", "jaeger"): "opentelemetry-propagator-jaeger",
    ("opentelemetry_propagator", "ottrace"): "opentelemetry-propagator-ot-trace",
    ("opentelemetry_propagator", "xray"): "opentelemetry-propagator-aws-xray",
    ("opentelemetry_traces_exporter", "zipkin"): "opentelemetry-exporter-zipkin",
    ("opentelemetry_traces_exporter", "zipkin_json"): "opentelemetry-exporter-zipkin-json",
    ("opentelemetry_traces_exporter", "zipkin_proto"): "opentelemetry-exporter-zipkin-proto-http",
    ("opentelemetry_id_generator", "xray"): "opentelemetry-sdk-extension-aws",
}

# Names that other products and SDKs use, without punctuation, by the name that is meant.
_MEANT = {
    ("opentelemetry_propagator", "tracecontext"): ("w3c", "traceparent", "w3ctracecontext"),
    ("opentelemetry_propagator", "b3"): ("b3single", "zipkin"),
    ("opentelemetry_traces_exporter", "otlp"): ("jaeger", "tempo", "grpc", "http", "otlpgrpc", "otlphttp"),
    ("opentelemetry_traces_exporter", "console"): ("stdout", "logging"),
    ("opentelemetry_traces_exporter", "none"): ("off", "noop", "false"),
}


def _resolve(group: str, names: Iterable[str], known: frozenset[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the names that exist, as their package spells them, and a complaint for each of the others."""
    installed: dict[str, str] | None = None
    good: list[str] = []
    complaints: list[str] = []
    for name in names:
        if name in known:
            good.append(name)
            continue
        if installed is None:  # only for a name that is not built in: reading entry points takes milliseconds
            installed = {point.name.lower(): point.name for point in entry_points(group=group)}
        if name in installed:
            good.append(installed[name])
        elif cure := _CURES.get((group, name)):
            complaints.append(f"{name} needs a package: pip install {cure}")
        else:
            names_known = sorted(known | installed.keys())
            close = _suggestion(group, name, names_known)
            complaints.append(f"{name!r} is unknown{close}, expected {', '.join(names_known)}")
    return tuple(good), complaints


def _suggestion(group: str, name: str, known: Sequence[str]) -> str:
    if re.search(r"[;|\s]", name):
        return ", separate names with commas"
    word = re.sub("[^a-z0-9]", "", name)
    meant = next((meant for (of, meant), words in _MEANT.items() if of == group and word in words), None)
    return f", did you mean {meant!r}?" if meant else did_you_mean(name, known).replace(";", ",", 1)


def name_list(group: str, *known: str) -> Callable[[str], tuple[str, ...]]:
    """Return a parser of lists of names, in any case, where ``none`` stands only alone."""
    built_in = frozenset({*known, "none"})

    def parse(value: str) -> tuple[str, ...]:
        names, complaints = _resolve(group, lower_items(value), built_in)
        if "none" in names and len(names) > 1:
            complaints.append("none excludes all others")
            names = ("none",)
        if complaints or not names:
            raise BadValueError("; ".join(complaints) or "expected a name", *([names] if names else []))
        return names

    return parse


def one_name(group: str, *known: str) -> Callable[[str], str]:
    """Return a parser of one name, in any case."""
    built_in = frozenset(known)

    def parse(value: str) -> str:
        names, complaints = _resolve(group, [value.lower()], built_in)
        if complaints:
            raise BadValueError(complaints[0])
        return names[0]

    return parse


Level = dict[str, str]
Find = Callable[[Iterable[str]], "tuple[str, str] | None"]

SAMPLER, ARG = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_DISABLED = "OTEL_SDK_DISABLED"
RATIO = "parentbased_traceidratio"
DEFAULT_SAMPLER = "parentbased_always_on"
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
    sampler = DEFAULT_SAMPLER
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
        findings.replaced(variable, text, complaint, DEFAULT_SAMPLER)
        return DEFAULT_SAMPLER, arg
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


def translate_aliases(levels: Sequence[Level], findings: Findings) -> None:
    """Translate OTEL_ENABLED and OTEL_SAMPLING_RATE, unless the specification's names are set."""
    for index, level in enumerate(levels):
        for alias, proper, translate in (
            ("OTEL_ENABLED", _DISABLED, _translate_enabled),
            ("OTEL_SAMPLING_RATE", SAMPLER, _translate_ratio),
        ):
            text = level.get(alias)
            if text and any(proper in one for one in levels[: index + 1]):
                findings.doubted(alias, text, f"{proper} is set and wins", proper)
            elif text:
                translate(alias, level, text, findings)


def _translate_enabled(alias: str, level: Level, text: str, findings: Findings) -> None:
    try:
        enabled = boolean(text)
    except BadValueError as bad:
        enabled = not bad.used or bool(bad.used[0])
        findings.replaced(alias, text, bad.complaint, used=enabled)
        if not enabled:
            level[_DISABLED] = "true"
        return
    level[_DISABLED] = str(not enabled).lower()
    findings.doubted(alias, text, "an older name", f"{_DISABLED}={level[_DISABLED]}")


def _translate_ratio(alias: str, level: Level, text: str, findings: Findings) -> None:
    level[SAMPLER] = RATIO
    complaint, ratio = "an older name", text
    try:
        rate(text)
    except BadValueError as bad:
        complaint += f"; {bad.complaint}"
        ratio = f"{bad.used[0] if bad.used else SAFE_RATE:.10g}"
    used = f"{SAMPLER}={RATIO} {ARG}={level.setdefault(ARG, ratio)!r}"
    findings.replaced_by(alias, text, complaint, used, advisory=ratio == text)
