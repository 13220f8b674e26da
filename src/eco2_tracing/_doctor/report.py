"""Runs the checks, and prints what they have found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from textwrap import fill

from eco2_tracing._doctor import configuration, mesh, packages, runtime
from eco2_tracing._doctor.application import check_application
from eco2_tracing._doctor.delivery import check_delivery
from eco2_tracing._doctor.endpoint import EndpointCheck
from eco2_tracing._doctor.finding import Facts, Finding, by_severity
from eco2_tracing._settings import OtlpSettings, shown_endpoint

_CHECKS = (
    configuration.check_settings,
    configuration.check_switches,
    configuration.check_service_name,
    configuration.check_queue,
    check_application,
    packages.check_versions,
    packages.check_launchers,
    packages.check_modules,
    runtime.check_downward_api,
    runtime.check_memory,
    runtime.check_server,
    mesh.check_mesh,
)
_WIDTH = 110


def run_checks(facts: Facts) -> list[Finding]:
    """Return what all checks have found, the gravest first."""
    found = [finding for check in _CHECKS for finding in check(facts)]
    for number, otlp in enumerate(_destinations(facts)):
        endpoint = EndpointCheck(facts, otlp)
        found += endpoint.run()
        if not endpoint.problems and not number and "otlp" in facts.settings.traces_exporter:
            found += check_delivery(facts)
    return by_severity(dict.fromkeys(found))


def _destinations(facts: Facts) -> list[OtlpSettings]:
    """Return the OTLP destinations of all signals, that of spans first; equal connections are one."""
    settings = facts.settings
    if settings.disabled:
        return []
    signals = (
        (settings.traces_exporter, settings.otlp),
        (settings.metrics_exporter, settings.otlp_metrics),
        (settings.logs_exporter, settings.otlp_logs),
    )
    found: dict[tuple[str, str, bool], OtlpSettings] = {}
    for exporters, otlp in signals:
        if "otlp" in exporters:
            place = otlp.endpoint.rpartition("/v1/")[0] or otlp.endpoint
            found.setdefault((otlp.protocol, place, otlp.insecure), otlp)
    return list(found.values())


def is_ok(findings: Iterable[Finding]) -> bool:
    """Return whether there is no error and no warning."""
    return all(each.severity == "info" for each in findings)


def as_json(facts: Facts, findings: Sequence[Finding]) -> str:
    """Return the report of ``--json``."""
    shown = [
        {
            "id": each.id,
            "severity": each.severity,
            "subject": each.subject,
            "found": each.found,
            "problem": each.problem,
            "cure": f"{each.cure} See {each.page}.",
        }
        for each in findings
    ]
    report = {"ok": is_ok(findings), "findings": shown, "settings": configuration.setting_rows(facts)}
    return json.dumps(report, indent=2, ensure_ascii=False)


def as_text(facts: Facts, findings: Sequence[Finding]) -> str:
    """Return the report for a person: what is in force, then each finding with its cure."""
    return "\n".join([*_summary(facts), "", *_listed(findings)])


def _summary(facts: Facts) -> Iterator[str]:
    settings = facts.settings
    otlp = settings.otlp
    application = facts.application or {}
    service = [
        settings.service_name or application.get("service_name") or "(no name)",
        settings.service_version or application.get("service_version"),
        settings.environment or application.get("environment"),
    ]
    destination = ", ".join(settings.traces_exporter)
    if "otlp" in settings.traces_exporter:
        how = "plaintext" if otlp.insecure else "TLS"
        destination = f"{shown_endpoint(otlp.endpoint)}, {otlp.protocol}, {how}"
    lines = {
        "service": ", ".join(str(each) for each in service if each),
        "destination": destination,
        "sampling": configuration.sampler_in_words(facts),
        "propagators": ", ".join(settings.propagators),
        "test span": facts.test_span,
    }
    for name, value in lines.items():
        if value:
            yield f"{name:<13}{value}"
    rows = configuration.setting_rows(facts)
    changed = [row for row in rows if row["source"] != "default"]
    yield ""
    for row in changed:
        yield f"  {row['name']}={row['value']}  ({row['source']})"
    others = len(rows) - len(changed)
    yield f"  {others} other settings have their defaults (--json lists them)"


def _listed(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        yield "No problem found."
        return
    for each in findings:
        yield f"{each.severity.upper()}  {each.id}  {each.subject}"
        for label, text in (
            ("found", each.found),
            ("problem", each.problem),
            ("cure", each.cure),
            ("page", each.page),
        ):
            yield fill(
                text,
                _WIDTH,
                initial_indent=f"  {label:<9}",
                subsequent_indent=" " * 11,
                break_long_words=False,
            )
        yield ""
    counts = {
        severity: sum(each.severity == severity for each in findings)
        for severity in ("error", "warning", "info")
    }
    yield ", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items() if count)
