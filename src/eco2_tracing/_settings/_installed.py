"""Names that installed packages bring: propagators, exporters, samplers and id generators."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import entry_points

from eco2_tracing._settings._parse import Parser, lower_items
from eco2_tracing._settings._problem import BadValueError

_CURES = {
    ("opentelemetry_propagator", "jaeger"): "opentelemetry-propagator-jaeger",
    ("opentelemetry_propagator", "ottrace"): "opentelemetry-propagator-ot-trace",
    ("opentelemetry_propagator", "xray"): "opentelemetry-propagator-aws-xray",
    ("opentelemetry_traces_exporter", "zipkin"): "opentelemetry-exporter-zipkin",
    ("opentelemetry_traces_exporter", "zipkin_json"): "opentelemetry-exporter-zipkin-json",
    ("opentelemetry_traces_exporter", "zipkin_proto"): "opentelemetry-exporter-zipkin-proto-http",
    ("opentelemetry_id_generator", "xray"): "opentelemetry-sdk-extension-aws",
}


def resolve(group: str, names: Iterable[str], known: frozenset[str]) -> tuple[tuple[str, ...], list[str]]:
    """Look names up among those that are built in and those of an entry-point group.

    Args:
        group: The entry-point group; read only when a name is not built in, because that costs milliseconds.
        names: Lower-case names.
        known: The names that are built in.

    Returns:
        The names that exist, as their package spells them, and a complaint for each of the others.
    """
    installed: dict[str, str] | None = None
    good: list[str] = []
    complaints: list[str] = []
    for name in names:
        if name in known:
            good.append(name)
            continue
        if installed is None:
            installed = {point.name.lower(): point.name for point in entry_points(group=group)}
        if name in installed:
            good.append(installed[name])
        elif cure := _CURES.get((group, name)):
            complaints.append(f"{name} needs a package: pip install {cure}")
        else:
            complaints.append(f"{name!r} is unknown, expected {', '.join(sorted(known | installed.keys()))}")
    return tuple(good), complaints


def name_list(group: str, *known: str) -> Parser:
    """Make a parser of a list of names, in any case, where ``none`` stands alone."""
    built_in = frozenset({*known, "none"})

    def parse(value: str) -> tuple[str, ...]:
        names, complaints = resolve(group, lower_items(value), built_in)
        if "none" in names and len(names) > 1:
            complaints.append("none excludes all others")
            names = ("none",)
        if complaints or not names:
            raise BadValueError("; ".join(complaints) or "expected a name", *([names] if names else []))
        return names

    return parse


def one_name(group: str, *known: str) -> Parser:
    """Make a parser of one name, in any case."""
    built_in = frozenset(known)

    def parse(value: str) -> str:
        names, complaints = resolve(group, [value.lower()], built_in)
        if complaints:
            raise BadValueError(complaints[0])
        return names[0]

    return parse
