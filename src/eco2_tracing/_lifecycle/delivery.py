"""Flushing and shutting down whatever spans go to, within a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import internal_failure
from eco2_tracing._native import NativeThread

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

    from eco2_tracing._export import DeliveryStats, SpanBatcher

_GRACE_S = 0.2
_LONGEST_S = 86_400.0


class Delivery:
    """Where spans go: our exporters, which keep to a limit, and code of others, which may not.

    Args:
        exporters: Ours.
        processors: The application's.
        foreign: Another provider that is in charge: it is flushed, and never shut down.
    """

    def __init__(
        self, exporters: Sequence[SpanBatcher], processors: Sequence[SpanProcessor] = (), foreign: Any = None
    ) -> None:
        self.exporters = tuple(exporters)
        self.processors = tuple(processors)
        self._foreign = foreign if hasattr(foreign, "force_flush") else None

    def add(self, processor: SpanProcessor) -> None:
        """Flush and shut down one more processor of the application's."""
        self.processors = (*self.processors, processor)

    def __bool__(self) -> bool:
        """Tell whether anything is ours to deliver."""
        return bool(self.exporters or self.processors)

    def flush(self, timeout_s: float) -> bool:
        """Deliver everything that is queued.

        Args:
            timeout_s: Seconds to wait at most.

        Returns:
            Whether all of it was delivered in time.
        """
        timeout_s = _reasonable(timeout_s)
        millis = int(timeout_s * 1000)
        others: Sequence[Any] = self.processors if self._foreign is None else [self._foreign]
        # What only looks like a processor may have nothing to flush.
        flushes = [other.force_flush for other in others if hasattr(other, "force_flush")]
        return _side_by_side(
            [partial(exporter.force_flush, millis) for exporter in self.exporters],
            [partial(flush, millis) for flush in flushes],
            timeout_s,
        )

    def shutdown(self, timeout_s: float) -> bool:
        """Deliver what can be delivered in time, then let go of it all.

        Args:
            timeout_s: Seconds to wait at most.

        Returns:
            Whether all of it was delivered in time.
        """
        timeout_s = _reasonable(timeout_s)
        millis = int(timeout_s * 1000)

        def end(processor: SpanProcessor) -> bool:
            try:
                return not hasattr(processor, "force_flush") or processor.force_flush(millis)
            finally:
                processor.shutdown()

        return _side_by_side(
            [partial(exporter.shutdown, millis) for exporter in self.exporters],
            [partial(end, processor) for processor in self.processors],
            timeout_s,
        )

    def stats(self) -> list[DeliveryStats]:
        """What became of the spans, exporter by exporter."""
        return [exporter.stats() for exporter in self.exporters]


def _reasonable(timeout_s: float) -> float:
    """Bound what somebody asks for: no clock takes infinity, and what is no number is no time at all."""
    return min(max(0.0, timeout_s), _LONGEST_S)


def _side_by_side(
    bounded: Sequence[Callable[[], bool]], unbounded: Sequence[Callable[[], bool]], timeout_s: float
) -> bool:
    """Call all at once, so that the slowest does not eat the time of the others.

    The first bounded one is called in this thread: most services have one exporter, and need no thread then.
    """
    deadline = monotonic() + timeout_s
    results: list[bool] = []
    threads = [
        thread
        for call in [*bounded[1:], *unbounded]
        if (thread := _in_thread(_guarded(call, results))) is not None
    ]
    if bounded:
        _guarded(bounded[0], results)()
    for thread in threads:
        # One that keeps to its limit, and is held up by a busy machine, is waited for a moment longer.
        grace_s = min(_GRACE_S, timeout_s / 20) if bounded else 0.0
        thread.join(max(0.0, deadline - monotonic()) + grace_s)
    return len(results) == len(bounded) + len(unbounded) and all(results)


def _guarded(call: Callable[[], bool], results: list[bool]) -> Callable[[], None]:
    def guarded() -> None:
        try:
            # The SDK's own processors return nothing where there is nothing to say.
            results.append(call() is not False)
        except Exception:  # noqa: BLE001 - code of others
            internal_failure("flushing or shutting down a span processor")
            results.append(False)

    return guarded


def _in_thread(call: Callable[[], None]) -> NativeThread | None:
    thread = NativeThread(call, "eco2-tracing-flush", foreign=True)
    try:
        thread.start()
    except RuntimeError:
        # From Python 3.12 on no thread can be started while the interpreter ends.
        call()
        return None
    return thread
