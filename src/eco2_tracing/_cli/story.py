"""What the demo sends, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eco2_tracing._cli.envoy import GATEWAY

if TYPE_CHECKING:
    from eco2_tracing._cli.lines import LogLine
    from eco2_tracing.testing import ReceivedSpan, ReceivedTrace, SpanStore

TRACE_HEADER = "x-trace-id"
"""The response header in which the services name the trace."""

AUTH, CHARACTER = "auth-api", "character-api"


@dataclass(frozen=True, slots=True)
class Step:
    """A request, and why it is sent.

    Attributes:
        title: What it shows, for a heading.
        method: HTTP method.
        path: Path on auth-api.
        status: The status code that is expected.
        body: JSON to send.
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
    """What came of a step.

    Attributes:
        step: The step.
        status: The status code of the answer.
        trace_id: The trace that the answer named; ``""`` when it named none.
        trace: Its spans, as far as they were received.
        lines: The log lines that have its id, by time.
    """

    step: Step
    status: int
    trace_id: str
    trace: ReceivedTrace
    lines: tuple[LogLine, ...] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold at the end.

    Attributes:
        text: What must hold.
        holds: Whether it does.
    """

    text: str
    holds: bool


def _paths(spans: Iterable[ReceivedSpan]) -> set[str]:
    """The paths that the services' server spans tell of."""
    return {str(span.attributes.get("url.path")) for span in spans if span.service != GATEWAY}


def _services_of(lines: Iterable[LogLine]) -> set[object]:
    return {line.get("service.name") for line in lines}


def check_spans(
    outcomes: dict[Step, Outcome], spans: tuple[ReceivedSpan, ...], *, gateway: bool
) -> list[Check]:
    """What must hold for the spans received.

    Args:
        outcomes: What came of each step.
        spans: Every span received.
        gateway: Whether the requests went through Envoy.
    """
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
    """What must hold for the answers and the log lines."""
    wrong = [one for one in outcomes.values() if one.status != one.step.status]
    return [
        Check("every answer has the status expected of it", not wrong),
        Check(
            "the same trace id in both services' log lines",
            _services_of(outcomes[LOGIN].lines) == {AUTH, CHARACTER},
        ),
    ]


def check_delivery(endpoint: str, lines: Iterable[LogLine]) -> list[Check]:
    """What must hold for a backend of one's own: in the end no service says that its spans did not get there.

    Args:
        endpoint: Where spans are sent.
        lines: Log lines of every service.
    """
    last = {
        line.get("service.name"): str(line.get("message"))
        for line in lines
        if (line.get("log.logger"), line.get("log.level")) == ("eco2_tracing", "warning")
    }
    # Doubts about variables begin with their name.
    failed = [said for said in last.values() if not said.startswith(("OTEL_", "ECO2_", "Spans reach"))]
    return [Check(": ".join([f"{endpoint} takes the spans", *failed[:1]]), not failed)]


def outcome_of(step: Step, status: int, trace_id: str, store: SpanStore, lines: Iterable[LogLine]) -> Outcome:
    """Put together what came of a step.

    Args:
        step: The step.
        status: The status code of the answer.
        trace_id: The trace that the answer named; without one the gateway's span may tell.
        store: The spans received.
        lines: Log lines of every service.
    """
    trace_id = trace_id or _trace_of_gateway(step, store)
    mine = [line for line in lines if trace_id and line.get("trace.id") == trace_id]
    ordered = tuple(sorted(mine, key=lambda line: str(line["@timestamp"])))
    return Outcome(step, status, trace_id, store.trace(trace_id), ordered)


def _trace_of_gateway(step: Step, store: SpanStore) -> str:
    for span in store.find(service=GATEWAY):
        if urlsplit(str(span.attributes.get("http.url"))).path == step.path:
            return span.trace_id
    return ""
