"""Flushes and shuts down exporters and span processors, within a time limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from eco2_tracing._guard import guarded
from eco2_tracing._native import NativeThread

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import TracerProvider

    from eco2_tracing._export import DeliveryStats, SpanBatcher

_GRACE_S = 0.2
_LONGEST_S = 86_400.0


class Delivery:
    """Our exporters, which respect time limits, and processors of the application, which may not.

    Args:
        exporters: Our exporters.
        processors: The application's processors.
        external_provider: An external tracer provider: it is flushed, and never shut down.
    """

    def __init__(
        self,
        exporters: Sequence[SpanBatcher],
        processors: Sequence[SpanProcessor] = (),
        external_provider: TracerProvider | None = None,
    ) -> None:
        self.exporters = tuple(exporters)
        self.processors = tuple(processors)
        self._external_provider = external_provider

    def add(self, processor: SpanProcessor) -> None:
        """Add a processor of the application."""
        self.processors = (*self.processors, processor)

    def __bool__(self) -> bool:
        """True if there are exporters or processors."""
        return bool(self.exporters or self.processors)

    def flush(self, timeout_s: float) -> bool:
        """Deliver everything that is queued.

        Args:
            timeout_s: Longest time to wait, in seconds.

        Returns:
            True if all of it was delivered in time.
        """
        timeout_s = _in_range(timeout_s)
        millis = int(timeout_s * 1000)
        others = self.processors if self._external_provider is None else [self._external_provider]
        # An object without `force_flush` may be used as a processor.
        flushes = [flush for other in others if (flush := getattr(other, "force_flush", None)) is not None]
        return _call_all(
            [partial(exporter.force_flush, millis) for exporter in self.exporters],
            [partial(flush, millis) for flush in flushes],
            timeout_s,
        )

    def shutdown(self, timeout_s: float) -> bool:
        """Deliver what can be delivered in time, then shut everything down.

        Args:
            timeout_s: Longest time to wait, in seconds.

        Returns:
            True if all of it was delivered in time.
        """
        timeout_s = _in_range(timeout_s)
        millis = int(timeout_s * 1000)

        def end(processor: SpanProcessor) -> bool:
            try:
                return not hasattr(processor, "force_flush") or processor.force_flush(millis)
            finally:
                processor.shutdown()

        return _call_all(
            [partial(exporter.shutdown, millis) for exporter in self.exporters],
            [partial(end, processor) for processor in self.processors],
            timeout_s,
        )

    def stats(self) -> list[DeliveryStats]:
        """Return the counts of each exporter."""
        return [exporter.stats() for exporter in self.exporters]


def _in_range(timeout_s: float) -> float:
    """Return a timeout that clocks accept: NaN becomes 0, infinity a day."""
    return min(max(0.0, timeout_s), _LONGEST_S)


def _call_all(
    bounded: Sequence[Callable[[], bool]], unbounded: Sequence[Callable[[], bool]], timeout_s: float
) -> bool:
    """Call all functions concurrently, so that each has the whole time.

    The first bounded one is called in this thread: most services have one exporter and need no further thread.

    Args:
        bounded: Functions that respect the time limit.
        unbounded: Functions that may not.
        timeout_s: Longest time to wait, in seconds.

    Returns:
        True if all functions succeeded in time.
    """
    deadline = monotonic() + timeout_s
    results: list[bool] = []
    threads = [
        thread
        for call in [*bounded[1:], *unbounded]
        if (thread := _in_thread(_recorded(call, results))) is not None
    ]
    if bounded:
        _recorded(bounded[0], results)()
    for thread in threads:
        # A bounded function may end a little late on a busy machine.
        grace_s = min(_GRACE_S, timeout_s / 20) if bounded else 0.0
        thread.join(max(0.0, deadline - monotonic()) + grace_s)
    return len(results) == len(bounded) + len(unbounded) and all(results)


def _recorded(call: Callable[[], bool], results: list[bool]) -> Callable[[], None]:
    def run() -> None:
        succeeded = False
        with guarded("flushing or shutting down a span processor"):
            succeeded = call() is not False  # processors of the SDK may return None
        results.append(succeeded)

    return run


def _in_thread(call: Callable[[], None]) -> NativeThread | None:
    thread = NativeThread(call, "eco2-tracing-flush", external=True)
    try:
        thread.start()
    except RuntimeError:
        # Python 3.12 and newer start no thread during interpreter shutdown.
        call()
        return None
    return thread
