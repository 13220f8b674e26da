"""What the benchmarks share: a process for each variant, and the stock set-up."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

Flush = Callable[[], object]


class Child:
    """A variant's process: it runs a round for each number that it is given.

    Args:
        script: The benchmark's file.
        arguments: What to be, after ``--child``.
    """

    def __init__(self, script: str, arguments: Sequence[str]) -> None:
        command = [sys.executable, script, "--child", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.times: list[float] = []
        self._answer()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise SystemExit("a variant's process has died")
        return line

    def round(self, count: int) -> None:
        """Run one round and remember its CPU microseconds for one unit of work."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        self.times.append(float(self._answer()))

    def stop(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def take_turns(children: dict[str, Child], rounds: int, count: int) -> dict[str, float]:
    """Run all variants in turns, so that a change of the machine's speed hits all alike.

    Args:
        children: The processes by the name of their variant.
        rounds: How often each has its turn.
        count: Units of work in one round.

    Returns:
        The CPU of one unit of work in microseconds, by variant: the mean of the calmest third of the
        rounds, for a machine has other things to do.
    """
    for _ in range(rounds):
        for one in children.values():
            one.round(count)
    for one in children.values():
        one.stop()
    calm = max(1, rounds // 3)
    return {variant: statistics.mean(sorted(one.times)[:calm]) for variant, one in children.items()}


def answer_rounds(work: Callable[[int], None], flush: Flush, portion: int) -> None:
    """Be a variant's process: run a round for each line on standard input.

    Args:
        work: Does so many units.
        flush: Delivers what they left; its work is counted as well.
        portion: Units after which is flushed, so that the queue drops nothing.
    """
    work(portion)
    flush()
    print("ready", flush=True)
    for line in sys.stdin:
        begun = time.process_time()
        for _ in range(int(line) // portion):
            work(portion)
            flush()
        print((time.process_time() - begun) / int(line) * 1e6, flush=True)


def set_up_ours(variant: str, app: Any, endpoint: str) -> Flush:
    """Trace an application with this library; errors are not kept unless the variant is ``ours``.

    Returns:
        What flushes.
    """
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    if variant != "ours":
        os.environ["ECO2_TRACING_ERROR_SAMPLING_RATE"] = "0"
    import eco2_tracing

    eco2_tracing.configure_tracing("bench")
    eco2_tracing.instrument_app(app)
    return lambda: eco2_tracing.flush_tracing(30)


def set_up_stock(endpoint: str) -> Any:
    """Set a provider up as the stock documentation says, for B3.

    Returns:
        The provider.
    """
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
    from opentelemetry import trace
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.propagate import set_global_textmap
    from opentelemetry.propagators.b3 import B3MultiFormat
    from opentelemetry.propagators.composite import CompositePropagator
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    set_global_textmap(
        CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator(), B3MultiFormat()])
    )
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
    trace.set_tracer_provider(provider)
    return provider


def native_telemetry() -> bool:
    """Tell whether this FastAPI has telemetry of its own."""
    import inspect

    from fastapi import FastAPI

    return "telemetry" in inspect.signature(FastAPI.__init__).parameters
