"""The application under test, and the requests that it gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.peers import Tracing, load
from benchmarks.variants import VARIANTS

if TYPE_CHECKING:
    from fastapi import FastAPI

ENVOY = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0",
    "accept-encoding": "gzip, deflate, br",
    "accept-language": "ko-KR,ko;q=0.9,en-US;q=0.8",
    "cookie": "session=0123456789abcdef0123456789abcdef; theme=dark",
    "x-forwarded-for": "203.0.113.7,10.0.3.11",
    "x-forwarded-proto": "https",
    "x-forwarded-client-cert": "By=spiffe://cluster.local/ns/auth/sa/auth;Hash=4d3c1e;URI=spiffe://cluster.local",
    "x-envoy-attempt-count": "1",
    "x-envoy-internal": "true",
    "x-envoy-peer-metadata-id": "router~10.0.3.11~istio-ingressgateway-6d5.istio-system~istio-system.svc",
    "x-envoy-decorator-operation": "auth-api.auth.svc.cluster.local:8000/*",
    "x-envoy-expected-rq-timeout-ms": "15000",
    "x-request-id": "8f4e1ab2-7f0c-9d3a-b9a2-52d1a6b0c1de",
    "x-b3-parentspanid": "0020000000000001",
    "authorization": "Bearer " + "x" * 200,
}
"""What Envoy and a browser add to the headers of `trace_headers`."""


def trace_headers(*, sampled: bool, number: int = 0) -> dict[str, str]:
    """Give the trace headers of one request, the same decision in each format."""
    trace_id, span_id = f"463ac35c9f6413ad{number + 1:016x}", f"a2fb4a1d{number + 1:08x}"
    flag = int(sampled)
    return {
        "x-b3-traceid": trace_id,
        "x-b3-spanid": span_id,
        "x-b3-sampled": str(flag),
        "traceparent": f"00-{trace_id}-{span_id}-{flag:02d}",
    }


def request_headers(count: int, *, sampled: bool, number: int = 0) -> dict[str, str]:
    """Give the headers of one request: a plain client's 5, Envoy's 21, or more of a browser's.

    Args:
        count: How many, at least 6.
        sampled: The caller's decision.
        number: Which request: each has its own trace id.
    """
    headers = {"host": "auth-api:8000", "accept": "*/*", **trace_headers(sampled=sampled, number=number)}
    more = [*ENVOY.items(), *((f"x-header-{i}", f"value-{i}") for i in range(count))]
    return headers | dict(more[: count - len(headers)])


def add_routes(app: FastAPI, count: int) -> None:
    """Add so many routes; the last one is ``/items/{item_id}``."""

    async def handler(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    for number in range(count - 1):
        app.get(f"/other{number}/{{item_id}}")(handler)
    app.get("/items/{item_id}")(handler)


def set_up(environ: Mapping[str, str] = os.environ) -> Tracing:
    """Configure the variant that the environment names."""
    variant = VARIANTS[environ["BENCH_VARIANT"]]
    return load(variant).set_up(variant)


def make_app(tracing: Tracing, routes: int = 100, **options: Any) -> FastAPI:
    """Make the application, traced."""
    from fastapi import FastAPI

    app = FastAPI(**tracing.app_options, **options)
    add_routes(app, routes)
    tracing.instrument(app)
    return app


def served() -> FastAPI:
    """Make the application of the whole-server benchmark: uvicorn's ``--factory``."""
    return make_app(set_up())
