"""Names that installed packages bring: propagators, exporters, samplers and id generators."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points

from eco2_tracing._settings.parse import did_you_mean, lower_items
from eco2_tracing._settings.problem import BadValueError

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
