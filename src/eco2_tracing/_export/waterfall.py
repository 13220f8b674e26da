"""The exporter that prints each local trace for people when its local root ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO, cast

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from eco2_tracing._console.terminal import screen_of
from eco2_tracing._console.waterfall import SLOW_MS, Waterfall
from eco2_tracing._export.local_traces import LocalTraces
from eco2_tracing._export.result import EncodedBatch, ExportResult
from eco2_tracing._export.stdout import LineWriter
from eco2_tracing._guard import guarded
from eco2_tracing._native import sleep

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from eco2_tracing._console.rows import LocalTrace
    from eco2_tracing._export.result import EncodedSpan
    from eco2_tracing._settings import Settings

TakeLines = Callable[[int, Iterable[int]], Sequence[str]]
"""Removes and returns the log lines of a trace id and some span ids."""

_TRACES_PER_TURN = 8
# Jaeger serves its UI on this port, beside the receiver on these ports.
_LOCAL_UI = "http://127.0.0.1:16686/trace/{trace_id}"
_LOCAL_RECEIVER = re.compile(r"(?:https?://)?(?:localhost|127\.0\.0\.1|\[::1\]):431[78](?:/.*)?")


class WaterfallExporter(SpanExporter):
    """Prints local traces to the `sys.stdout` of the time at which it was made.

    `SpanBatcher` calls it in its own thread. What cannot be written is dropped, and counted as such.

    Args:
        waterfall: Formats local traces.
        take_lines: Removes and returns the log lines of some spans of a trace, as ECS JSON; ``None`` without any.
        stream: The stream instead of stdout.

    Attributes:
        endpoint: The destination, in words.
        longest_delay_s: Longest time in seconds from the end of a local root to its line.
    """

    endpoint = "stdout (waterfall)"
    longest_delay_s = 0.1

    def __init__(
        self,
        waterfall: Waterfall,
        take_lines: TakeLines | None,
        stream: TextIO | None = None,
    ) -> None:
        self._waterfall = waterfall
        self._take_lines = take_lines or _no_lines
        self._traces = LocalTraces()
        self._writer = LineWriter(sys.stdout if stream is None else stream)

    def encode_span(self, span: ReadableSpan) -> ReadableSpan:
        """Return the span itself: it is formatted with its local trace."""
        return span

    def encode(self, spans: Sequence[ReadableSpan | EncodedSpan]) -> tuple[list[EncodedBatch], int]:
        """Return the spans themselves as one batch."""
        return [EncodedBatch(cast("list[ReadableSpan]", list(spans)), len(spans))], 0

    def send(self, batch: EncodedBatch, timeout_s: float) -> ExportResult:
        """Print the local traces that the spans complete."""
        if self._print(self._traces.add(cast("list[ReadableSpan]", batch.content))):
            return ExportResult("sent")
        return ExportResult("dropped", "stdout cannot be written to")

    def _print(self, traces: Iterable[LocalTrace]) -> bool:
        screen = screen_of(self._writer.stream)
        written = True
        for count, trace in enumerate(traces, 1):
            with guarded("printing a trace"):
                text = self._waterfall.text(trace, self._lines_of(trace), screen)
                if text:
                    written = self._writer.write(text) and written
            if count % _TRACES_PER_TURN == 0:
                sleep(0.0001)  # let other threads run; `sleep(0)` would take the GIL back at once
        return written

    def _lines_of(self, trace: LocalTrace) -> Sequence[str]:
        return self._take_lines(trace.trace_id, (row.span_id for row in trace.rows))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Print now."""
        result = self.send(EncodedBatch(list(spans), len(spans)), 0)
        return SpanExportResult.SUCCESS if result.outcome == "sent" else SpanExportResult.FAILURE

    def cancel(self) -> None:
        """Give up what cannot be written at once."""
        self._writer.cancel()

    def close(self) -> None:
        """Print the spans whose local root has not ended."""
        self._print(self._traces.drain())

    shutdown = close

    def after_fork(self) -> None:
        """In a forked child: forget the parent's spans and locks."""
        self._traces.reset()
        self._writer.renew()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: complete local traces are printed at once."""
        return True


def _no_lines(_trace_id: int, _span_ids: Iterable[int]) -> Sequence[str]:
    return ()


def build_waterfall(settings: Settings, take_lines: TakeLines | None) -> WaterfallExporter:
    """Build the exporter.

    Args:
        settings: The settings.
        take_lines: Removes and returns the log lines of some spans of a trace.
    """
    # The tail sampler judges where a threshold is configured.
    judged = settings.slow_threshold_ms is not None or bool(settings.slow_thresholds_ms)
    waterfall = Waterfall(settings.waterfall, _target(settings), None if judged else SLOW_MS)
    return WaterfallExporter(waterfall, take_lines)


def _target(settings: Settings) -> str:
    """Return the address of a trace: as set, else of the UI beside a local receiver that the spans are exported to."""
    if settings.trace_url is not None:
        return settings.trace_url
    otlp = settings.otlp.endpoint if "otlp" in settings.traces_exporter else ""
    return _LOCAL_UI if _LOCAL_RECEIVER.fullmatch(otlp) else ""
