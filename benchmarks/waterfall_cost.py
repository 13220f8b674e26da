"""CPU time of the exporter `waterfall` for one local trace: a line, or a tree.

Run it as ``python benchmarks/waterfall_cost.py``. The trace has ten spans: a request, three calls and six database
queries. They are recorded once by the library, then printed again and again to /dev/null by the code that the export
thread runs: putting the trace together, formatting and writing.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import ClassVar, TextIO

os.environ["OTEL_TRACES_EXPORTER"] = "waterfall"

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from eco2_tracing import configure_tracing, flush_tracing
from eco2_tracing._console.buffer import LogBuffer
from eco2_tracing._console.waterfall import Waterfall
from eco2_tracing._export import waterfall
from eco2_tracing._export.result import EncodedBatch, ExportResult
from eco2_tracing._export.waterfall import WaterfallExporter
from eco2_tracing.logs import EcsFormatter

ROUNDS, TRACES = 41, 100
LINES = 4


class Recorder(WaterfallExporter):
    """Keeps the ended spans as they reach the exporter."""

    spans: ClassVar[list[ReadableSpan]] = []

    def send(self, batch: EncodedBatch, timeout_s: float, meanwhile: object = None) -> ExportResult:
        self.spans.extend(batch.content)
        return ExportResult("sent")


def recorded(*, failed: bool) -> list[ReadableSpan]:
    """Record the ten spans of one request."""
    Recorder.spans.clear()
    tracer = trace.get_tracer("benchmark")
    request = {
        "http.request.method": "GET",
        "http.route": "/users/{id}",
        "url.path": "/users/7",
        "url.scheme": "http",
    }
    request |= {
        "server.address": "127.0.0.1",
        "server.port": 8000,
        "http.response.status_code": 500 if failed else 200,
    }
    call = {
        "http.request.method": "GET",
        "url.full": "http://character-api/characters/7",
        "server.address": "character-api",
    }
    query = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM characters WHERE id = ?"}
    try:
        with tracer.start_as_current_span("GET /users/{id}", kind=SpanKind.SERVER, attributes=request):
            for _ in range(3):
                with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=call):
                    for _ in range(2):
                        with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT, attributes=query):
                            pass
            if failed:
                raise RuntimeError("no connection to the store")  # noqa: TRY301 - an exception that leaves the span
    except RuntimeError:
        pass
    flush_tracing()
    return list(Recorder.spans)


def log_lines(trace_id: int) -> list[str]:
    """Lines of the trace, as the formatter writes them."""
    made = logging.makeLogRecord(
        {"name": "shop", "levelname": "INFO", "msg": "a step", "created": time.time()}
    )
    line = EcsFormatter().format(made)
    return [f'{line[:-1]},"trace.id":"{trace_id:032x}"}}'] * LINES


def cpu_us(call: Callable[[], object]) -> tuple[float, float]:
    """The CPU time of one call, in microseconds: the minimum and the median of the rounds."""
    figures = []
    for _ in range(ROUNDS):
        begin = time.process_time_ns()
        for _ in range(TRACES):
            call()
        figures.append((time.process_time_ns() - begin) / TRACES / 1000)
    return min(figures), statistics.median(figures)


def printing(spans: Sequence[ReadableSpan], stream: TextIO, *, lines: bool) -> Callable[[], object]:
    """A call that prints the trace once."""
    buffer = LogBuffer()
    trace_id = spans[0].context.trace_id
    written = log_lines(trace_id) if lines else []
    exporter = WaterfallExporter(Waterfall(), buffer.take, stream)

    def once() -> None:
        for line in written:
            buffer.add(line)
        exporter.export(spans)

    return once


def main() -> None:
    """Print the table."""
    for name, failed, lines in (
        ("one line", False, False),
        ("tree", True, False),
        ("tree with four log lines", True, True),
    ):
        spans = recorded(failed=failed)
        assert len(spans) == 10
        with open(os.devnull, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a stream
            os.environ["FORCE_COLOR"] = "1"
            os.environ["COLUMNS"] = "140"
            least, median = cpu_us(printing(spans, stream, lines=lines))
            print(f"{name:<28}{least:8.0f} µs, median {median:.0f}")
            sys.stdout.flush()


if __name__ == "__main__":
    waterfall.WaterfallExporter = Recorder
    configure_tracing(service_name="benchmark")
    waterfall.WaterfallExporter = WaterfallExporter
    main()
