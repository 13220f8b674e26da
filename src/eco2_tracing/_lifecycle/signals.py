"""Metrics and logs of one configuration. Their modules are imported only if they are exported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from eco2_tracing._instrumentation.fastapi import native
from eco2_tracing._instrumentation.server.measured import MeasuredServing
from eco2_tracing._lifecycle.counts import delivered
from eco2_tracing._settings import Problem
from eco2_tracing.metrics._endpoint import missing_package
from eco2_tracing.metrics._exemplars import spans
from eco2_tracing.metrics._health import Delivered, Health

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from eco2_tracing._export.batch.batcher import Batcher
    from eco2_tracing._export.destinations import Destinations
    from eco2_tracing._export.result import ExportResult
    from eco2_tracing._instrumentation.common.state import InstrumentationState
    from eco2_tracing._lifecycle.logs import ExportedLogs
    from eco2_tracing._lifecycle.metrics import ExternalMetrics, OwnMetrics
    from eco2_tracing._redaction import Redactor
    from eco2_tracing._settings import Settings

    Call = Callable[[int], bool]

_PROMETHEUS = "prometheus"


class Counts(NamedTuple):
    """What this library's own metrics show.

    Attributes:
        spans: Returns the counts of spans.
        kept: Returns the number of exported local traces by reason.
    """

    spans: Callable[[], Delivered]
    kept: Callable[[], Mapping[str, int]]


class OtherSignals:
    """Metrics and logs. Without an exporter of either, nothing is built.

    Args:
        settings: The settings.
        resource: Returns the resource of this process.
        redactor: Masks secrets.
        destinations: Connections that signals share.
        counts: Return what this library's own metrics show.
        flush: Flushes every signal within a number of seconds.
    """

    def __init__(
        self,
        settings: Settings,
        resource: Callable[[], Resource],
        redactor: Redactor,
        destinations: Destinations,
        counts: Counts,
        flush: Callable[[float], bool],
    ) -> None:
        self._settings = settings
        self._counts = counts
        self.metrics: OwnMetrics | ExternalMetrics | None = None
        self.logs: ExportedLogs | None = None
        self.problems: list[Problem] = []
        if settings.disabled:
            return
        if _is_on(settings.logs_exporter):
            from eco2_tracing._lifecycle.logs import ExportedLogs

            self.logs = ExportedLogs(settings, resource, destinations, flush)
        if _is_on(self._usable_metrics()):
            from eco2_tracing._lifecycle.metrics import build_metrics

            self._health = Health(self._all_counts, counts.kept)
            self.metrics = build_metrics(settings, resource, redactor, destinations, self._health)
            self.observe(*self.batchers)

    def _usable_metrics(self) -> tuple[str, ...]:
        names = tuple(self._settings.metrics_exporter)
        if _PROMETHEUS in names and (missing := missing_package()):
            variable = "OTEL_METRICS_EXPORTER"
            self.problems.append(Problem(variable, _PROMETHEUS, "nothing", missing))
            return tuple(name for name in names if name != _PROMETHEUS)
        return names

    def observe(self, *batchers: Batcher) -> None:
        """Record the durations of the requests that the queues send."""
        if self.metrics is not None:
            for batcher in batchers:
                batcher.observer = partial(self._exported, batcher.signal.name)

    def _exported(self, signal: str, seconds: float, result: ExportResult) -> None:
        error = None if result.outcome == "sent" else result.reason
        self._health.exported(signal, seconds, error)

    def _all_counts(self) -> Mapping[str, Delivered]:
        found = {"spans": self._counts.spans()}
        if self.logs is not None:
            found["log_records"] = delivered(batcher.stats() for batcher in self.logs.batchers)
        return found

    @property
    def batchers(self) -> tuple[Batcher, ...]:
        """The queues of both signals."""
        return (
            *(() if self.metrics is None else self.metrics.batchers),
            *(() if self.logs is None else self.logs.batchers),
        )

    def flushes(self) -> list[Call]:
        """Return the functions that deliver what is queued, within a number of milliseconds."""
        found: list[Call] = [] if self.metrics is None else [self.metrics.flush]
        return found + [batcher.force_flush for batcher in ([] if self.logs is None else self.logs.batchers)]

    def shutdowns(self) -> list[Call]:
        """Return the functions that deliver what can be delivered within a number of milliseconds, and end."""
        found: list[Call] = [] if self.metrics is None else [self.metrics.shutdown]
        return found + [batcher.shutdown for batcher in ([] if self.logs is None else self.logs.batchers)]

    def install(self, state: InstrumentationState, *, exports_spans: bool) -> None:
        """Measure requests and calls, and export log records.

        Args:
            state: The state of the instrumentations.
            exports_spans: Exemplars are given: this process exports spans.
        """
        spans.are_exported = exports_spans
        replaced: list[str] = []
        if self.metrics is not None:
            self.metrics.install()
            # contrib's instrumentations record the same metrics with the global provider.
            if self._settings.instrumentation != "contrib":
                state.metrics = self.metrics.http
                state.serve = MeasuredServing(self.metrics.http).serve
                replaced.append("metrics")
        if self.logs is not None:
            self.logs.install()
            replaced.append("logs")
        native.switch_off(*replaced)

    def start(self) -> None:
        """Start what a process that serves requests needs, and repeat what the application has undone since."""
        if self.metrics is not None:
            self.metrics.start()
        if self.logs is not None:
            self.logs.reassert()

    def uninstall(self, state: InstrumentationState) -> None:
        """Undo ``install``."""
        spans.are_exported = True
        state.metrics = None
        if self.metrics is not None:
            self.metrics.uninstall()
        if self.logs is not None:
            self.logs.uninstall()
        native.switch_off()


def is_any_on(settings: Settings) -> bool:
    """Return whether metrics or log records are exported."""
    return not settings.disabled and (_is_on(settings.metrics_exporter) or _is_on(settings.logs_exporter))


def _is_on(names: Sequence[str]) -> bool:
    return bool(names) and "none" not in names
