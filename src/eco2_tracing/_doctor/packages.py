"""Checks versions of OpenTelemetry's packages, and whether another tracer runs in the process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from eco2_tracing._doctor.finding import Facts, Finding

_PAGE = "docs/troubleshooting/index.md"
_PREFIX = "opentelemetry-"
_NAME = re.compile(r"^Name: *(\S+)", re.MULTILINE)
# Programs that start a server with another tracer, and the folder that each puts on PYTHONPATH.
_LAUNCHERS = {
    "ddtrace-run": ("ddtrace", "ddtrace/bootstrap"),
    "elasticapm-run": ("elastic-apm", "elasticapm/instrumentation/wrapper"),
    "newrelic-admin": ("newrelic", "newrelic/bootstrap"),
    "opentelemetry-instrument": ("opentelemetry", "opentelemetry/instrumentation/auto_instrumentation"),
}


def check_versions(_facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each OpenTelemetry package that requires another version than the installed one."""
    installed = dict(_installed())
    for name, package in sorted(installed.items()):
        if not name.startswith((_PREFIX, "eco2-tracing")):
            continue
        for line in package.requires or ():
            needed = _requirement(line)
            if needed is None or not needed.name.startswith(_PREFIX):
                continue
            other = installed.get(needed.name.lower())
            if other is not None and not needed.specifier.contains(other.version, prereleases=True):
                yield Finding(
                    "package-versions", "error", name,
                    f"{name} {package.version} needs {needed.name}{needed.specifier}, installed is {other.version}",
                    "Packages of different releases fail at import, or lose spans without a message.",
                    f"pip install --upgrade {name} {needed.name}", _PAGE,
                )  # fmt: skip


def _installed() -> Iterator[tuple[str, Distribution]]:
    """Yield the installed packages by name; the first of a name on the path is the one that is imported."""
    seen: set[str] = set()
    for each in distributions():
        name = _name_of(each)
        if name and name not in seen:
            seen.add(name)
            yield name, each


def _name_of(package: Distribution) -> str:
    """Return a package's name in lower case. `Distribution.name` takes ten times as long: it parses all metadata."""
    found = _NAME.search(package.read_text("METADATA") or package.read_text("PKG-INFO") or "")
    return "" if found is None else found[1].lower()


def _requirement(line: str) -> Requirement | None:
    try:
        found = Requirement(line)
    except InvalidRequirement:
        return None
    # An extra that is not chosen, or another platform.
    return found if found.marker is None or found.marker.evaluate({"extra": ""}) else None


def check_launchers(facts: Facts) -> Iterator[Finding]:
    """Yield findings for other tracers that the command or the environment starts."""
    words = {Path(each).name for each in facts.command}
    path = facts.environ.get("PYTHONPATH", "")
    for program, (name, folder) in _LAUNCHERS.items():
        if program in words or folder in path:
            found = f"the command contains {program}" if program in words else f"PYTHONPATH contains {folder}"
            yield _other_tracer(name, found)


def check_modules(facts: Facts) -> Iterator[Finding]:
    """Yield findings for other tracers that the application has started."""
    application = facts.application or {}
    if provider := application.get("external_provider"):
        yield _other_tracer(
            "opentelemetry", f"the application installs a tracer provider of its own: {provider}"
        )
    for name in application.get("agents", ()):
        yield _other_tracer(name, f"the application starts {name}")
    if application.get("is_contrib"):
        yield Finding(
            "double-instrumentation", "warning", "FastAPIInstrumentor",
            "FastAPIInstrumentor has instrumented the application before instrument_app",
            "Its server spans are used. Routes of mounted applications, kept errors and B3 are lost.",
            "Remove FastAPIInstrumentor.", "docs/comparison.md",
        )  # fmt: skip


def _other_tracer(name: str, found: str) -> Finding:
    if name == "opentelemetry":
        return Finding(
            "two-sdks", "error", "TracerProvider", found,
            "Two OpenTelemetry SDKs run: sampling and export are those of the one that is installed first.",
            "Remove the other set-up. With the Operator, use inject-sdk in place of inject-python.",
            "docs/how-to/deploy-a-cluster.md",
        )  # fmt: skip
    return Finding(
        "other-agent", "warning", name, found,
        "Two tracers cost twice, and each makes its own spans and headers.",
        f"Remove {name}, or switch its tracing off.", "docs/moving/index.md",
    )  # fmt: skip
