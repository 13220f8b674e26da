"""CPU that tracing adds to one request: bare application, eco2-tracing, FastAPIInstrumentor.

Every variant is a process of its own with its own provider; all run in turns, round after round, so
that a change of the machine's speed hits all alike. CPU time of the whole process is counted, the
export thread's included; the receiver stands in this process and is not counted.

    python benchmarks/server_requests.py [--rounds 15] [--requests 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from _variants import Child, answer_rounds, native_telemetry, set_up_ours, set_up_stock, take_turns

VARIANTS = ("bare", "stock", "ours, errors not kept", "ours")
SHAPES = ("small", "mesh")
DECISIONS = ("unsampled", "sampled")


def headers_of(shape: str, decision: str) -> list[tuple[bytes, bytes]]:
    """Give the request headers: five of a plain client, or 21 as Envoy sends them."""
    flag = b"1" if decision == "sampled" else b"0"
    trace = [
        (b"x-b3-traceid", b"463ac35c9f6413ad48485a3953bb6124"),
        (b"x-b3-spanid", b"a2fb4a1d1a96d312"),
        (b"x-b3-sampled", flag),
    ]
    plain = [(b"host", b"auth-api:8000"), (b"accept", b"*/*")]
    if shape == "small":
        return plain + trace
    return [
        *plain,
        (
            b"user-agent",
            b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0",
        ),
        (b"accept-encoding", b"gzip, deflate, br"),
        (b"accept-language", b"ko-KR,ko;q=0.9,en-US;q=0.8"),
        (b"cookie", b"session=0123456789abcdef0123456789abcdef; theme=dark"),
        (b"x-forwarded-for", b"203.0.113.7,10.0.3.11"),
        (b"x-forwarded-proto", b"https"),
        (
            b"x-forwarded-client-cert",
            b"By=spiffe://cluster.local/ns/auth/sa/auth;Hash=4d3c1e;URI=spiffe://cluster.local",
        ),
        (b"x-envoy-attempt-count", b"1"),
        (b"x-envoy-internal", b"true"),
        (
            b"x-envoy-peer-metadata-id",
            b"router~10.0.3.11~istio-ingressgateway-6d5.istio-system~istio-system.svc",
        ),
        (b"x-envoy-decorator-operation", b"auth-api.auth.svc.cluster.local:8000/*"),
        (b"x-envoy-expected-rq-timeout-ms", b"15000"),
        (b"x-request-id", b"8f4e1ab2-7f0c-9d3a-b9a2-52d1a6b0c1de"),
        *trace,
        (b"x-b3-parentspanid", b"0020000000000001"),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"authorization", b"Bearer " + b"x" * 200),
    ]


def make_app(shape: str, **options: Any) -> Any:
    """Make the application under test: one small handler, alone or as the last of 100 routes."""
    from fastapi import FastAPI

    app = FastAPI(**options)

    async def handler(item_id: int) -> dict[str, int]:
        return {"item": item_id}

    for number in range(99 if shape == "mesh" else 2):
        app.get(f"/other{number}/{{item_id}}")(handler)
    app.get("/items/{item_id}")(handler)
    return app


def instrument(variant: str, app: Any, endpoint: str) -> Any:
    """Trace the application as the variant's users do; return what flushes."""
    if variant == "bare":
        return lambda: None
    if variant == "stock":
        return instrument_stock(app, endpoint)
    return set_up_ours(variant, app, endpoint)


def instrument_stock(app: Any, endpoint: str) -> Any:
    """Use the stock instrumentor."""
    provider = set_up_stock(endpoint)
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    FastAPIInstrumentor.instrument_app(app)
    return lambda: provider.force_flush(30_000)


async def serve(app: Any, headers: list[tuple[bytes, bytes]], count: int) -> None:
    """Send requests to the application as a server would."""
    body = {"type": "http.request", "body": b"", "more_body": False}

    async def receive() -> dict[str, Any]:
        return body

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(message["status"])

    for number in range(count):
        path = f"/items/{number}"
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("10.0.3.12", 8000),
            "client": ("127.0.0.6", 41231),
            "scheme": "http",
            "root_path": "",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            # Every request has bytes of its own, as from a socket.
            "headers": [(bytes(bytearray(name)), bytes(bytearray(value))) for name, value in headers],
            "state": {},
        }
        await app(scope, receive, send)


def child(variant: str, shape: str, decision: str, endpoint: str) -> None:
    """Be one variant."""
    options = {"telemetry": {"tracing": False}} if variant == "bare" and native_telemetry() else {}
    app = make_app(shape, **options)
    flush = instrument(variant, app, endpoint)
    headers = headers_of(shape, decision)
    # In portions that the queue holds: nothing is dropped, so that all work is done and counted.
    answer_rounds(lambda count: asyncio.run(serve(app, headers, count)), flush, portion=1000)


def measure(shape: str, decision: str, endpoint: str, rounds: int, requests: int) -> dict[str, float]:
    """Run all variants in turns; return the CPU of a request in µs."""
    children = {variant: Child(__file__, (variant, shape, decision, endpoint)) for variant in VARIANTS}
    return take_turns(children, rounds, requests)


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=2000, help="in one round; whole thousands")
    parser.add_argument("--json", help="write the figures to this file as well")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    from eco2_tracing.testing import OtlpReceiver

    results: dict[str, dict[str, float]] = {}
    with OtlpReceiver() as receiver:
        print(
            f"{'CPU µs a request':24}{'bare':>9}"
            + "".join(f"{'+ ' + name:>25}{'':>9}" for name in VARIANTS[1:])
        )
        for shape in SHAPES:
            for decision in DECISIONS:
                found = measure(shape, decision, receiver.grpc_endpoint, arguments.rounds, arguments.requests)
                receiver.clear()
                results[f"{shape}, {decision}"] = found
                added = {name: found[name] - found["bare"] for name in VARIANTS[1:]}
                cells = "".join(f"{value:25.1f}{value / added['stock']:9.1%}" for value in added.values())
                print(f"{shape + ', ' + decision:24}{found['bare']:9.1f}{cells}", flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
