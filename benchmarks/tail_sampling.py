"""The cost of keeping errors: an unsampled request with calls and database spans.

The handler, the last of 100 routes behind Envoy's 21 headers, makes two httpx calls and three database
spans as the contrib packages make them. Every variant is a process of its own; all run in turns,
round after round. CPU time of the whole process is counted.

    python benchmarks/tail_sampling.py [--rounds 15] [--requests 2000]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import Any

from _variants import Child, answer_rounds, native_telemetry, set_up_stock, take_turns
from calls import Pool
from server_requests import headers_of, serve

VARIANTS = ("bare", "stock", "ours, errors not kept", "ours")


def make_app(**options: Any) -> Any:
    """Make the application; its database is a loop without one."""
    import httpx
    from fastapi import FastAPI
    from opentelemetry import trace

    app = FastAPI(**options)
    transport = httpx.AsyncHTTPTransport()
    transport._pool = Pool(httpx)
    client = httpx.AsyncClient(transport=transport)

    tracer = trace.get_tracer("database")

    async def query(text: str) -> None:
        # What opentelemetry.instrumentation.dbapi does around a cursor.
        with tracer.start_as_current_span("SELECT", kind=trace.SpanKind.CLIENT) as span:
            if span.is_recording():
                span.set_attribute("db.system", "postgresql")
                span.set_attribute("db.name", "shop")
                span.set_attribute("db.statement", text)
                span.set_attribute("net.peer.name", "postgres")
                span.set_attribute("net.peer.port", 5432)

    async def handler(item_id: int) -> dict[str, int]:
        await query("SELECT * FROM items WHERE id = %s")
        await client.get("http://stock:8000/items/7")
        await query("SELECT * FROM prices WHERE item = %s")
        await client.get("http://prices:8000/items/7")
        await query("SELECT * FROM owners WHERE item = %s")
        return {"item": item_id}

    for number in range(99):
        app.get(f"/other{number}/{{item_id}}")(handler)
    app.get("/items/{item_id}")(handler)
    return app


def instrument(variant: str, endpoint: str) -> Any:
    """Trace the application as the variant's users do; return it and what flushes."""
    if variant == "bare":
        return make_app(**({"telemetry": {"tracing": False}} if native_telemetry() else {})), lambda: None
    if variant == "stock":
        provider = set_up_stock(endpoint)
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        HTTPXClientInstrumentor().instrument()
        app = make_app()
        FastAPIInstrumentor.instrument_app(app)
        return app, lambda: provider.force_flush(30_000)
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    if variant != "ours":
        os.environ["ECO2_TRACING_ERROR_SAMPLING_RATE"] = "0"
    import eco2_tracing

    eco2_tracing.configure_tracing("bench")
    app = make_app()
    eco2_tracing.instrument_app(app)
    return app, lambda: eco2_tracing.flush_tracing(30)


def child(variant: str, endpoint: str) -> None:
    """Be one variant."""
    app, flush = instrument(variant, endpoint)
    headers = headers_of("mesh", "unsampled")
    loop = asyncio.new_event_loop()
    answer_rounds(lambda count: loop.run_until_complete(serve(app, headers, count)), flush, 500)


def begin_costs() -> None:
    """Print what beginning a local trace costs where nothing, and where something, may be kept."""
    from eco2_tracing.sampling import build_sampler
    from eco2_tracing.sampling._tail.limits import TailLimits, TailRules
    from eco2_tracing.sampling._tail.sampler import TailSampler

    for words, rate in (("dropped", 0.0), ("undecided", 1.0)):
        built = build_sampler("parentbased_traceidratio", "0.01")
        begin = TailSampler(built, TailRules(rate), TailLimits(), print).begin
        best = 1e9
        for _ in range(20):
            begun = time.perf_counter()
            for _ in range(10_000):
                begin(1 << 63, False, "GET")
            best = min(best, (time.perf_counter() - begun) / 10_000)
        print(f"begin(), {words}: {best * 1e6:.2f} µs")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=1000, help="in one round; multiples of 500")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        return
    from eco2_tracing.testing import OtlpReceiver

    begin_costs()
    with OtlpReceiver() as receiver:
        children = {variant: Child(__file__, (variant, receiver.grpc_endpoint)) for variant in VARIANTS}
        found = take_turns(children, arguments.rounds, arguments.requests)
    stock = found["stock"] - found["bare"]
    print(f"CPU µs a request: bare {found['bare']:.0f}")
    for variant in VARIANTS[1:]:
        added = found[variant] - found["bare"]
        print(f"  {variant:22} + {added:6.1f}  {added / stock:6.1%}")


if __name__ == "__main__":
    main()
