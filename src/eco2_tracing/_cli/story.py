"""The requests of the demo, and the checks of their results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eco2_tracing._cli.envoy import GATEWAY

if TYPE_CHECKING:
    from eco2_tracing._console.lines import LogLine
    from eco2_tracing.testing import ReceivedSpan, ReceivedTrace, SpanStore

TRACE_HEADER = "x-trace-id"
"""The response header that carries the trace id."""

AUTH, CHARACTER = "auth-api", "character-api"


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the demo.

    Attributes:
        title: What the request shows, as a heading.
        method: The HTTP method.
        path: The path on auth-api.
        status: The expected status code.
        body: The JSON body.
    """

    title: str
    method: str
    path: str
    status: int = 200
    body: dict[str, str] | None = field(default=None, hash=False)


LOGIN = Step("a call through both services", "POST", "/api/v1/auth/login", body={"user_id": "mina"})
HANDLED = Step("a failure behind a request that succeeds", "GET", "/api/v1/auth/users/mina")
FAILED = Step("a request that fails", "POST", "/api/v1/auth/refresh", status=500)
RECORDS = Step("no health check, whatever its name", "GET", "/health-records")
HEALTH = Step("a health check: excluded", "GET", "/health")
STEPS = (LOGIN, HANDLED, FAILED, RECORDS, HEALTH)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a step.

    Attributes:
        step: The step.
        status: The status code of the response.
        trace_id: The trace id, or `""`.
        trace: The spans received of it.
        lines: The log lines with its id, by time.
    """

    step: Step
    status: int
    trace_id: str
    trace: ReceivedTrace
    lines: tuple[LogLine, ...] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the results: a statement, and whether it holds."""

    text: str
    holds: bool


def _paths(spans: Iterable[ReceivedSpan]) -> set[str]:
    """The values of `url.path` on the services' spans."""
    return {str(span.attributes.get("url.path")) for span in spans if span.service != GATEWAY}


def _services_of(lines: Iterable[LogLine]) -> set[object]:
    return {line.get("service.name") for line in lines}


def check_spans(
    outcomes: dict[Step, Outcome], spans: tuple[ReceivedSpan, ...], *, gateway: bool
) -> list[Check]:
    """Check the spans received."""
    path = [GATEWAY, AUTH, CHARACTER] if gateway else [AUTH, CHARACTER]
    login, failed = outcomes[LOGIN].trace, outcomes[FAILED].trace
    exceptions = [event for span in failed.spans for event in span.events if event.name == "exception"]
    return [
        Check(
            f"one trace, one tree, through {', '.join(path[:-1])} and {path[-1]}",
            login.is_one_tree and list(login.services) == path,
        ),
        Check("the failed request's span holds its exception", len(exceptions) == 1),
        Check(f"no span of a service for {HEALTH.path}", HEALTH.path not in _paths(spans)),
        Check(f"a span for {RECORDS.path}", RECORDS.path in _paths(outcomes[RECORDS].trace.spans)),
    ]


def check_logs(outcomes: dict[Step, Outcome]) -> list[Check]:
    """Check the responses and the log lines."""
    wrong = [one for one in outcomes.values() if one.status != one.step.status]
    return [
        Check("every response has the expected status", not wrong),
        Check(
            "the same trace id in both services' log lines",
            _services_of(outcomes[LOGIN].lines) == {AUTH, CHARACTER},
        ),
    ]


def check_delivery(endpoint: str, lines: Iterable[LogLine]) -> list[Check]:
    """Check the export to the user's backend: the last warning of no service is an export failure."""
    last = {
        line.get("service.name"): str(line.get("message"))
        for line in lines
        if (line.get("log.logger"), line.get("log.level")) == ("eco2_tracing", "warning")
    }
    # Warnings about configuration begin with the variable's name; "Spans reach" follows a recovery.
    failed = [text for text in last.values() if not text.startswith(("OTEL_", "ECO2_", "Spans reach"))]
    return [Check(": ".join([f"{endpoint} takes the spans", *failed[:1]]), not failed)]


def outcome_of(step: Step, status: int, trace_id: str, store: SpanStore, lines: Iterable[LogLine]) -> Outcome:
    """Collect the spans and log lines of a step."""
    mine = [line for line in lines if trace_id and line.get("trace.id") == trace_id]
    ordered = tuple(sorted(mine, key=lambda line: str(line["@timestamp"])))
    return Outcome(step, status, trace_id, store.trace(trace_id), ordered)
