"""Secrets planted wherever an application meets them: which reach a span, which a log line?"""

from __future__ import annotations

import ast
import inspect
from contextlib import ExitStack
from urllib.parse import quote

from benchmarks.reliability import _routes_leaks
from benchmarks.reliability._processes import Served, serving
from benchmarks.reliability._routes_leaks import planted
from benchmarks.reliability._row import Figure, Row, Scale, Variant

from eco2_tracing.testing import OtlpReceiver

# Recorded headers are an operator's choice, the same for both; what is in them is still nobody's to see.
CAPTURE = {
    f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_{side}": ".*"
    for side in ("SERVER_REQUEST", "SERVER_RESPONSE", "CLIENT_REQUEST", "CLIENT_RESPONSE")
}
IN_QUERY = ("access_token", "code", "password", "X-Amz-Signature", "client_secret")
IN_HEADERS = ("authorization", "cookie", "x-api-key", "proxy-authorization", "x-auth-token")

ANSWERS = {
    "/careless": 200,
    "/query": 200,
    "/refused": 500,
    "/caused": 500,
    "/unreachable": 500,
    "/nothing": 404,
}


def planted_by_routes() -> set[str]:
    """Give the places of the application's own plants, as its source names them."""
    calls = (
        node for node in ast.walk(ast.parse(inspect.getsource(_routes_leaks))) if isinstance(node, ast.Call)
    )
    named = (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "planted")
    return {str(ast.literal_eval(call.args[0])) for call in named}


def ask(served: Served) -> set[str]:
    """Send what plants secrets; give the places."""
    query = "&".join(f"{name}={planted(f'query {name}')}" for name in IN_QUERY)
    headers = {name: planted(f"header {name}") for name in IN_HEADERS}
    headers["cookie"] = f"session={headers['cookie']}"
    headers["authorization"] = f"Bearer {headers['authorization']}"
    headers["baggage"] = f"access_token={planted('baggage')}"
    headers["referer"] = f"https://kim:{quote(planted('referer'))}@partner.example/"
    for path, expected in ANSWERS.items():
        status, body = served.get(f"{path}?{query}", **headers)
        if status != expected:
            raise RuntimeError(f"{path} answered {status} {body!r}")
    served.get("/flush")
    return planted_by_routes() | {
        *(f"query {name}" for name in IN_QUERY),
        *(f"header {name}" for name in IN_HEADERS),
        *("baggage", "referer"),
    }


def measure(variant: Variant, scale: Scale) -> Figure:
    """Count the places whose secret is found again."""
    with OtlpReceiver() as receiver, ExitStack() as stack:
        sink = stack.enter_context(serving("bare", receiver.grpc_endpoint))
        environ = {
            **CAPTURE,
            "ECO2_TRACING_INSTRUMENTATIONS": "sqlite3",
            "RELIABILITY_SINK": f"127.0.0.1:{sink.port}",
        }
        served = stack.enter_context(
            serving(variant, receiver.grpc_endpoint, routes="_routes_leaks", environ=environ)
        )
        served.prove_traced(receiver)
        places = ask(served)
        receiver.wait_for(lambda spans: any(span.name == "GET /unreachable" for span in spans))
        served.stop()
        spans = repr([_all_of(span) for span in receiver.spans])
        lines = served.log.read_text(errors="replace")
    in_spans = {place for place in places if planted(place) in spans}
    in_lines = {place for place in places if planted(place) in lines}
    text = f"of {len(places)} planted, {len(in_spans)} in spans, {len(in_lines)} in log lines"
    if variant == "ours" and (found := sorted(in_spans | in_lines)):
        text += f" ({', '.join(found)})"
    return Figure(text, not in_spans and not in_lines)


def _all_of(span: object) -> object:
    return [getattr(span, name) for name in span.__slots__]  # type: ignore[attr-defined]


ROWS = (
    Row(
        "leaks",
        "planted secrets reach no span and no log line",
        "0",
        measure,
    ),
)
