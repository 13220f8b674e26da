"""CPU that tracing adds to one outgoing httpx call: bare, HTTPXClientInstrumentor, eco2-tracing.

A FastAPI handler makes a hundred calls through an ``AsyncClient``, so that the request's own cost
vanishes in theirs. The client's transport is the usual one, which the stock instrumentor wraps; its
connection pool answers from memory. Every variant is a process of its own; all
run in turns, round after round. CPU time of the whole process is counted, the export thread's
included; the receiver stands in this process and is not counted.

    python benchmarks/calls.py [--rounds 15] [--calls 4000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

from _variants import Child, answer_rounds, native_telemetry, set_up_ours, set_up_stock, take_turns

VARIANTS = ("bare", "stock", "ours, errors not kept", "ours")
MODULES = ("httpx", "httpx2")
DECISIONS = ("unsampled", "sampled")
CALLS_A_REQUEST = 100


class Pool:
    """Answers every request, and opens no connection."""

    def __init__(self, httpx: Any) -> None:
        self._core = importlib.import_module(httpx.__name__.replace("x", "core"))

    async def handle_async_request(self, request: Any) -> Any:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        return self._core.Response(
            200, headers=headers, content=b"{}", extensions={"http_version": b"HTTP/1.1"}
        )


def make_app(httpx: Any, **options: Any) -> Any:
    """Make an application whose one handler calls another service a hundred times."""
    from fastapi import FastAPI

    app = FastAPI(**options)

    transport = httpx.AsyncHTTPTransport()
    transport._pool = Pool(httpx)
    client = httpx.AsyncClient(transport=transport)

    @app.get("/")
    async def handler() -> None:
        for number in range(CALLS_A_REQUEST):
            await client.get(
                f"http://character-api:8000/items/{number}", headers={"authorization": "Bearer x"}
            )

    return app


def instrument(variant: str, app: Any, endpoint: str) -> Any:
    """Trace the application and its calls as the variant's users do; return what flushes."""
    if variant == "bare":
        return lambda: None
    if variant == "stock":
        return instrument_stock(app, endpoint)
    return set_up_ours(variant, app, endpoint)


def instrument_stock(app: Any, endpoint: str) -> Any:
    """Use the stock instrumentors of both httpx packages."""
    provider = set_up_stock(endpoint)
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor

    FastAPIInstrumentor.instrument_app(app)
    HTTPXClientInstrumentor().instrument()
    HTTPX2ClientInstrumentor().instrument()
    return lambda: provider.force_flush(30_000)


async def serve(app: Any, decision: str, count: int) -> None:
    """Send so many requests to the application as a server would."""
    flag = b"1" if decision == "sampled" else b"0"

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise RuntimeError(message["status"])

    for _ in range(count):
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("10.0.3.12", 8000),
            "client": ("127.0.0.6", 41231),
            "scheme": "http",
            "root_path": "",
            "method": "GET",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [
                (b"host", b"auth-api:8000"),
                (b"x-request-id", b"8f4e1ab2-7f0c-9d3a-b9a2-52d1a6b0c1de"),
                (b"x-b3-traceid", b"463ac35c9f6413ad48485a3953bb6124"),
                (b"x-b3-spanid", b"a2fb4a1d1a96d312"),
                (b"x-b3-sampled", flag),
            ],
            "state": {},
        }
        await app(scope, receive, send)


def child(variant: str, module: str, decision: str, endpoint: str) -> None:
    """Be one variant."""
    httpx = importlib.import_module(module)
    options = {"telemetry": {"tracing": False}} if variant in {"bare", "stock"} and native_telemetry() else {}
    app = make_app(httpx, **options)
    flush = instrument(variant, app, endpoint)
    loop = asyncio.new_event_loop()

    def work(calls: int) -> None:
        loop.run_until_complete(serve(app, decision, calls // CALLS_A_REQUEST))

    answer_rounds(work, flush, portion=1000)


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=4000, help="in one round; whole thousands")
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
            f"{'CPU µs a call':24}{'bare':>9}" + "".join(f"{'+ ' + name:>25}{'':>9}" for name in VARIANTS[1:])
        )
        for module in MODULES:
            for decision in DECISIONS:
                children = {
                    variant: Child(__file__, [variant, module, decision, receiver.grpc_endpoint])
                    for variant in VARIANTS
                }
                found = take_turns(children, arguments.rounds, arguments.calls)
                receiver.clear()
                results[f"{module}, {decision}"] = found
                added = {name: found[name] - found["bare"] for name in VARIANTS[1:]}
                cells = "".join(f"{value:25.1f}{value / added['stock']:9.1%}" for value in added.values())
                print(f"{module + ', ' + decision:24}{found['bare']:9.1f}{cells}", flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
