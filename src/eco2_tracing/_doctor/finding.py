"""What a check has found, and the facts that checks read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from eco2_tracing._settings import Settings

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
SUBJECT = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The subject of most findings about the connection."""

PAGE = "docs/troubleshooting/connection-refused.md"
"""Their page."""

LIMIT_S = 15.0
"""Seconds in which all checks end."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    Attributes:
        id: Its kind, such as ``connection-refused``.
        severity: ``error``: spans are missing or wrong; ``warning``: they may be; ``info``: worth knowing.
        subject: The variable, package or address that it is about.
        found: What was found, without credentials.
        problem: Why it matters.
        cure: What to change.
        page: The page of the documentation.
    """

    id: str
    severity: Severity
    subject: str
    found: str
    problem: str
    cure: str
    page: str = "docs/configuration.md"


def connection_error(kind: str, found: str, problem: str, cure: str, subject: str = SUBJECT) -> Finding:
    """Return an error of the connection to a collector."""
    return Finding(kind, "error", subject, found, problem, cure, PAGE)


@dataclass(slots=True)
class Facts:
    """What the checks read.

    Attributes:
        environ: The environment.
        settings: The settings that the environment and the application's arguments result in.
        application: What the process that imported the application reported; ``None`` without a command.
        command: The command of the server, without ``eco2-tracing run``.
        is_run: The command begins with ``eco2-tracing run``.
        headers: Headers of one request as the service receives it, by lower-case name; ``None`` if not given.
        envoy: Address of Envoy's admin interface.
        jaeger: Address of Jaeger's query service; ``None`` if not given.
        sends: A test span may be sent.
        spans_per_second: The expected rate of exported spans; ``None`` if it is not known.
        deadline: Reading of the clock at which all checks end.
        clock: Monotonic seconds.
        test_span: What became of the test span, in words; set by the check that sends it.
    """

    environ: Mapping[str, str]
    settings: Settings
    application: Mapping[str, Any] | None = None
    command: Sequence[str] = ()
    is_run: bool = False
    headers: Mapping[str, str] | None = None
    envoy: str = "http://127.0.0.1:15000"
    jaeger: str | None = None
    sends: bool = True
    spans_per_second: float | None = None
    clock: Callable[[], float] = time.monotonic
    deadline: float = 0.0
    test_span: str = ""

    def left(self, most_s: float) -> float:
        """Return the seconds that a step may take."""
        return max(0.05, min(most_s, self.deadline - self.clock()))

    @property
    def in_kubernetes(self) -> bool:
        """True in a pod."""
        return "KUBERNETES_SERVICE_HOST" in self.environ


Check = Callable[[Facts], Iterable[Finding]]


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, the gravest first."""
    return sorted(findings, key=lambda each: SEVERITIES.index(each.severity))
