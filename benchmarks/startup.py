"""What tracing adds to the start of a service: `python benchmarks/startup.py [runs]`.

Each set-up runs in processes of its own, in turn, so that a busy machine slows them all alike; medians are of the
processes' CPU time, which the goal is about, beside wall time. Byte code is cached, as in an image that was run once.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from statistics import median
from time import perf_counter

STOCK = """
import fastapi
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider(resource=Resource.create({"service.name": "b"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(insecure=True)))
trace.set_tracer_provider(provider)
HTTPXClientInstrumentor().instrument()
"""
BASE = "import fastapi"
SETUPS = {
    "import fastapi": BASE,
    "… and eco2_tracing": "import eco2_tracing, fastapi",
    "… and configure_tracing": "import eco2_tracing, fastapi; eco2_tracing.configure_tracing('b')",
    "… disabled": "import os; os.environ['OTEL_SDK_DISABLED'] = 'true'\n"
    "import eco2_tracing, fastapi; eco2_tracing.configure_tracing('b')",
    "stock set-up, OTLP gRPC": STOCK,
}


def run(code: str) -> tuple[float, float]:
    """Run one process; give its CPU and wall milliseconds, without those of its end."""
    environ = {
        k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE" and not k.startswith("OTEL_")
    }
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    subprocess.run([sys.executable, "-c", f"{code}\nimport os; os._exit(0)"], env=environ, check=True)
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu * 1000, (ended - begun) * 1000


def main(runs: int) -> None:
    """Print the table."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in SETUPS}
    for code in SETUPS.values():
        run(code)
    for _ in range(runs):
        for name, code in SETUPS.items():
            taken[name].append(run(code))
    cpu = {name: median(pair[0] for pair in pairs) for name, pairs in taken.items()}
    wall = {name: median(pair[1] for pair in pairs) for name, pairs in taken.items()}
    base = next(iter(SETUPS))
    print(
        f"{'':26}{'CPU ms':>8}{'over':>8}{'wall ms':>9}{'over':>8}   ({runs} runs, Python {sys.version.split()[0]})"
    )
    for name in SETUPS:
        over = (cpu[name] - cpu[base], wall[name] - wall[base])
        print(f"{name:26}{cpu[name]:8.0f}{over[0]:+8.0f}{wall[name]:9.0f}{over[1]:+8.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
