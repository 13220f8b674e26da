"""Programs that configure tracing again and again, or serve for long, inside one process.

    python -m benchmarks.reliability._cycling cycles COUNT
    python -m benchmarks.reliability._cycling soak REQUESTS

Both print their figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks._http import resident

_SAMPLES = 400
_GONE_S = 1.0
_TRACE = b"00-%032x-00f067aa0ba902b7-%s"
# Of each hundred requests: sampled by the caller, and failing.
_SAMPLED, _FAILING = 10, 3


def cycles(count: int) -> list[int]:
    """Configure, serve a request and shut down so often; give the threads of the process after each."""
    cycle = _ours if os.environ["RELIABILITY_MODE"] == "ours" else _stock
    found = []
    for _ in range(count):
        cycle()
        found.append(threads(found[0] if found else 1))
    return found


def threads(wanted: int) -> int:
    """Count the threads of this process, as the kernel does, which knows of those that are not Python's.

    One that has ended may still be there for a moment: a number that is wanted is waited for.
    """
    end = time.monotonic() + _GONE_S
    while True:
        found = len(list(Path("/proc/self/task").iterdir()))
        if found <= wanted or time.monotonic() > end:
            return found
        time.sleep(0.01)


def _ours() -> None:
    from fastapi import FastAPI

    import eco2_tracing

    eco2_tracing.configure_tracing("cycling")
    app = FastAPI()
    eco2_tracing.instrument_app(app)
    asyncio.run(request(app, 0))
    if not eco2_tracing.shutdown_tracing():
        raise RuntimeError("not everything was delivered")


def _stock() -> None:
    from fastapi import FastAPI
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # A second provider cannot be made the process's: it is handed over instead.
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    app = FastAPI()
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    HTTPXClientInstrumentor().instrument(tracer_provider=provider)
    asyncio.run(request(app, 0))
    HTTPXClientInstrumentor().uninstrument()
    FastAPIInstrumentor.uninstrument_app(app)
    provider.shutdown()


async def soak(requests: int) -> list[int]:
    """Serve so many requests; give the resident memory as the run went on, in bytes."""
    from benchmarks.reliability import _service

    app = _service.make_app()
    every = requests // _SAMPLES
    sizes = []
    for number in range(requests):
        await request(app, number)
        if number % every == 0:
            sizes.append(resident(os.getpid()))
            # Time for the exporter, as between the requests of a service that is not overrun.
            await asyncio.sleep(0.01)
    return sizes


async def request(app: Callable[..., Awaitable[None]], number: int) -> None:
    """Send one request as a server would: some are sampled, some fail, all are different."""
    failing = number % 100 < _FAILING
    path = "/boom" if failing else f"/jobs/{number}"
    sampled = b"01" if number // 3 % 100 < _SAMPLED else b"00"
    sent = {"type": "http.request", "body": b"", "more_body": False}

    async def receive() -> dict[str, Any]:
        return sent

    async def send(message: dict[str, Any]) -> None:
        pass

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 40000),
        "scheme": "http",
        "root_path": "",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"number=%d" % number,
        "headers": [(b"host", b"tried"), (b"traceparent", _TRACE % (number + 1, sampled))],
        "state": {},
    }
    try:
        await app(scope, receive, send)
    except ValueError:
        if not failing:
            raise


def main(what: str, count: int) -> None:
    """Run, and print the figures to where standard output went before the service's log got it."""
    out = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    found = cycles(count) if what == "cycles" else asyncio.run(soak(count))
    Path(f"/proc/self/fd/{out}").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
