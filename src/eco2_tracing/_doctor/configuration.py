"""Checks of the settings: bad values, unread names, and settings that contradict each other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from eco2_tracing._doctor.finding import Facts, Finding, Severity
from eco2_tracing._settings.fields import ALIASES, SERVICE_NAMES, SOURCES, VARIABLES
from eco2_tracing._settings.problem import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eco2_tracing._settings import Problem

_PAGE = "docs/configuration.md"
_MOST_SPANS = "OTEL_BSP_MAX_QUEUE_SIZE"
_ALIASES = {
    "disabled": "OTEL_ENABLED",
    "traces_sampler": "OTEL_SAMPLING_RATE",
    "traces_sampler_arg": "OTEL_SAMPLING_RATE",
}


def check_settings(facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each problem of the settings."""
    for problem in facts.settings.problems:
        # The check of the endpoint says whether the port is really that of another protocol.
        if not ("is usually that of" in problem.message and facts.settings.traces_exporter == ("otlp",)):
            yield _of_problem(problem)


def _of_problem(problem: Problem) -> Finding:
    complaint = problem.message.partition(": ")[2].rpartition("; using ")[0]
    severity: Severity = "warning" if problem.advisory or problem.variable not in VARIABLES else "error"
    return Finding(
        _kind(problem),
        severity,
        problem.variable,
        f"{problem.variable}={problem.found!r}",
        f"{complaint}. Used instead: {problem.used}.",
        _cure(problem, complaint),
        _PAGE,
    )


def _kind(problem: Problem) -> str:
    name = problem.variable
    if "takes no argument" in problem.message or "is set and wins" in problem.message:
        return "ignored-variable"
    if name in ALIASES:
        return "alias"
    if name not in VARIABLES and name.isupper():
        return "misspelt-variable" if "did you mean" in problem.message else "unread-variable"
    if name.endswith("_TIMEOUT") and "stock Python reads" in problem.message:
        return "timeout-in-seconds"
    if name == "OTEL_TRACES_SAMPLER_ARG":
        return "bad-ratio"
    if name == "OTEL_TRACES_SAMPLER":
        return "bad-sampler"
    if name == "OTEL_PROPAGATORS":
        return "bad-propagator"
    if name.endswith("_ENDPOINT"):
        return "bad-endpoint"
    return "bad-value"


def _cure(problem: Problem, complaint: str) -> str:
    name = problem.variable
    if found := re.search(r"did you mean ([A-Z0-9_]+)\?", complaint):
        return f"Rename {name} to {found[1]}."
    if found := re.search(r"\bset ([^;]+)", complaint):
        return f"Set {found[1].rstrip(',.')}."
    if _kind(problem) == "timeout-in-seconds":
        return f"Write milliseconds: {name}={problem.found}000 for {problem.found} seconds."
    if problem.used in ("nothing", "it as it is"):
        return f"Correct or remove {name}."
    return f"Write {name}={problem.used.strip(chr(39))}, or another valid value."


def check_switches(facts: Facts) -> Iterator[Finding]:
    """Yield findings for settings under which no span is exported."""
    settings = facts.settings
    if settings.disabled:
        name = "OTEL_ENABLED" if facts.environ.get("OTEL_ENABLED") else "OTEL_SDK_DISABLED"
        yield Finding(
            "sdk-disabled",
            "error",
            name,
            f"{name}={facts.environ.get(name, '')}",
            "No span is recorded. Trace headers are still sent on, and log lines carry the trace id of the caller.",
            f"Remove {name}.",
            _PAGE,
        )
    elif tuple(settings.traces_exporter) == ("none",):
        yield Finding(
            "exporter-none",
            "error",
            "OTEL_TRACES_EXPORTER",
            "OTEL_TRACES_EXPORTER=none",
            "Spans are recorded and not sent anywhere.",
            "Remove OTEL_TRACES_EXPORTER, or set it to otlp.",
            _PAGE,
        )
    elif settings.traces_sampler.endswith("always_off") and not settings.error_sampling_rate_is_set:
        yield Finding(
            "sampler-off",
            "error" if settings.traces_sampler == "always_off" else "warning",
            "OTEL_TRACES_SAMPLER",
            f"OTEL_TRACES_SAMPLER={settings.traces_sampler}",
            "No trace that begins here is exported, not even one with an error.",
            "Set OTEL_TRACES_SAMPLER=parentbased_traceidratio and OTEL_TRACES_SAMPLER_ARG=0.01, "
            "or set ECO2_TRACING_ERROR_SAMPLING_RATE=1.",
            "docs/sampling.md",
        )


def check_service_name(facts: Facts) -> Iterator[Finding]:
    """Yield a finding if the service has no name."""
    named = facts.settings.service_name or (facts.application or {}).get("service_name")
    if not named and facts.in_kubernetes and not facts.command:
        yield Finding(
            "no-service-name",
            "warning",
            "OTEL_SERVICE_NAME",
            "neither OTEL_SERVICE_NAME nor service.name is set in the environment",
            "Without configure_tracing(service_name=...) all spans belong to a service called unknown_service.",
            "Set OTEL_SERVICE_NAME in the Deployment.",
            _PAGE,
        )


def check_queue(facts: Facts) -> Iterator[Finding]:
    """Yield a finding if the queue is smaller than the spans that end between two exports."""
    settings = facts.settings
    rate = facts.spans_per_second or 0.0
    ending = rate * settings.bsp_schedule_delay / 1000
    if ending > settings.bsp_max_queue_size:
        needed = 1 << int(ending).bit_length()
        yield Finding(
            "queue-too-small",
            "warning",
            _MOST_SPANS,
            f"{_MOST_SPANS}={settings.bsp_max_queue_size}, OTEL_BSP_SCHEDULE_DELAY={settings.bsp_schedule_delay}",
            f"At {rate:g} spans a second, {ending:g} end between two exports. What does not fit is dropped.",
            f"Set {_MOST_SPANS}={needed}, or a shorter OTEL_BSP_SCHEDULE_DELAY.",
            "docs/delivery.md",
        )


def setting_rows(facts: Facts) -> list[dict[str, str]]:
    """Return name, value and source of each setting; values are masked. A variable of several settings has one row."""
    rows = {names[0]: _service_row(facts, field, names) for field, names in SERVICE_NAMES.items()}
    for field, source in SOURCES.items():
        name = next((each for each in source.variables if facts.environ.get(each, "").strip()), None)
        alias = _alias_of(field, facts)
        value = str(getattr(facts.settings, field))
        if name is not None:
            rows.setdefault(name, _row(name, facts.environ[name], "environment"))
            continue
        name = next((each for each in reversed(source.variables) if each not in rows), source.variables[0])
        rows.setdefault(name, _row(name, value, f"alias {alias}" if alias else "default"))
    return list(rows.values())


def _service_row(facts: Facts, field: str, names: tuple[str, ...]) -> dict[str, str]:
    value = getattr(facts.settings, field)
    if value is not None:
        return _row(names[0], value, "environment")
    argument = (facts.application or {}).get(field)
    return _row(names[0], argument or "", "argument" if argument else "default")


def _alias_of(field: str, facts: Facts) -> str | None:
    alias = _ALIASES.get(field)
    return alias if alias and facts.environ.get(alias, "").strip() else None


def _row(name: str, value: str, source: str) -> dict[str, str]:
    return {"name": name, "value": shown(name, value.strip()), "source": source}


def sampler_in_words(facts: Facts) -> str:
    """Return what the sampler does with 1 000 requests."""
    settings = facts.settings
    kind = settings.traces_sampler
    kept = ""
    keeps = settings.error_sampling_rate_is_set or not kind.endswith("always_off")
    if settings.error_sampling_rate and keeps and not kind.endswith("always_on"):
        kept = f"; of those that fail, {settings.error_sampling_rate:.0%}"
    if kind.endswith("always_on"):
        exported = "all are exported"
    elif kind.endswith("always_off"):
        exported = "none is exported"
    elif kind.endswith("traceidratio"):
        share = float(settings.traces_sampler_arg or 1)
        exported = f"about {share * 1000:g} are exported"
    else:
        exported = f"those that {kind} chooses are exported"
    whose = " that arrive without a decision" if kind.startswith("parentbased") else ""
    return f"of 1 000 requests{whose}, {exported}{kept}"
