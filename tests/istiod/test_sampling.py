"""The overlays for production: one request in a hundred is traced, and every failure is kept."""

from __future__ import annotations

from tests.istiod.trees import LOGIN, is_proxy, login, shape
from tests.support.cluster import AUTH, CHARACTER, TRACE_HEADER
from tests.support.jaeger_client import wait_for_trace
from tests.support.proxies import json_lines

SOUND = 60
# What is kept of a failure that the gateway did not sample: the local traces of both services.
RECOVERED = [
    (0, AUTH, "GET /api/v1/auth/users/{user_id}"),
    (1, AUTH, "GET"),
    (2, CHARACTER, "GET /api/v1/characters/{user_id}/badges"),
]


def services(trace):
    """The depth of the applications' spans, and their names."""
    return [(depth, service, name) for depth, service, name in shape(trace) if name is not None]


def test_failures_are_kept(production):
    """Each failure is kept, with its exception and the spans around it, also where the caller recovered."""
    for path in ("/api/v1/auth/refresh", "/api/v1/auth/users/mina"):
        method = "POST" if path.endswith("refresh") else "GET"
        for _ in range(10):
            answer = production.send(method, path)
            expected = (
                ["POST /api/v1/auth/refresh"] if method == "POST" else [name for _, _, name in RECOVERED]
            )
            trace = wait_for_trace(production.jaeger, answer.headers[TRACE_HEADER], len(expected))
            kept = [span for span in trace.spans if not is_proxy(span)]
            assert sorted(span.name for span in kept) == sorted(expected), str(trace)
            assert any(event.name == "exception" for span in kept for event in span.events), str(trace)
    print(trace)


def test_successes_are_sampled_by_the_gateway(production):
    """They are whole or absent; each has its trace id in the log lines of both services."""
    sent = [production.log_in() for _ in range(SOUND)]
    answer = production.send("POST", "/api/v1/auth/refresh")
    wait_for_trace(production.jaeger, answer.headers[TRACE_HEADER], 1)  # earlier spans have arrived
    chosen = [trace_id for trace_id in sent if production.jaeger.trace(trace_id).spans]
    # At one in a hundred, the probability that nine of 60 are sampled is below 10**-7.
    assert len(chosen) < 9
    for trace_id in chosen:
        trace = wait_for_trace(production.jaeger, trace_id, len(LOGIN))
        assert shape(trace) == login(production.provider), str(trace)
    for name in (AUTH, CHARACTER):
        logged = {line.get("trace.id") for line in json_lines(production.cluster.workloads[name].process)}
        assert set(sent) <= logged
