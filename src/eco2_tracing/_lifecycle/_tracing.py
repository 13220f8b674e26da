"""One configuration of tracing, from the settings to the running parts and back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from opentelemetry.trace import get_current_span

from eco2_tracing import logs
from eco2_tracing._export import build_processors
from eco2_tracing._guard import internal_failure, logger
from eco2_tracing._instrumentation import _build
from eco2_tracing._instrumentation._engine import Engine, Recording, current
from eco2_tracing._lifecycle._budget import ExitBudget
from eco2_tracing._lifecycle._pipeline import Pipeline
from eco2_tracing._lifecycle._provider import foreign_provider, install, make_provider, uninstall
from eco2_tracing._lifecycle._signals import TerminationHandler
from eco2_tracing._lifecycle._status import TracingStatus
from eco2_tracing._redaction import Redactor
from eco2_tracing._resource import after_fork_resource, build_resource
from eco2_tracing.propagation import Propagation, inbound_of
from eco2_tracing.sampling import build_sampler
from eco2_tracing.sampling._rescue import Rescuer
from eco2_tracing.sampling._rules import RescueLimits, RescueRules
from eco2_tracing.sampling._sdk import CallerDecision, RescueProcessor, RescueSampler

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

    from eco2_tracing._settings import TracingSettings
    from eco2_tracing.sampling import BuiltSampler


class Tracing:
    """Everything that ``configure_tracing`` made.

    Args:
        settings: What to make it from.
        resource_attributes: Further resource attributes of the application's.
        span_processors: The application's processors.
    """

    def __init__(
        self,
        settings: TracingSettings,
        resource_attributes: Mapping[str, Any] | None,
        span_processors: Sequence[SpanProcessor],
    ) -> None:
        self.settings = settings
        self.provider: TracerProvider | None = None
        self.exporters: list[Any] = []
        self.processors = tuple(span_processors)
        self.rescuer: Rescuer | None = None
        self.sampler: BuiltSampler | None = None
        self.budget = ExitBudget()
        self.signals = TerminationHandler(self.flush_at_end)
        self.propagation = Propagation(
            settings.propagators,
            targets=settings.propagation_targets,
            propagate_externally=settings.propagate_externally,
            trust_inbound=settings.trust_inbound,
        )
        self.redactor = Redactor(settings.redact_keys)
        self.engine: Engine = _build.engine(settings, self.propagation, self.redactor)
        self.foreign = None if settings.disabled else foreign_provider()
        if self.foreign is not None:
            self.engine.tracer = self.foreign.get_tracer("eco2_tracing.fastapi")
        elif not settings.disabled:
            self._build_recording(resource_attributes)
        self._set_service()

    def _build_recording(self, resource_attributes: Mapping[str, Any] | None) -> None:
        settings = self.settings
        self.sampler = build_sampler(
            settings.traces_sampler,
            settings.traces_sampler_arg,
            workers=settings.workers,
            service_name=settings.service_name,
        )
        self.exporters = list(build_processors(settings))
        pipeline = Pipeline(self.redactor, self.processors, self.exporters)
        self.rescuer = Rescuer(
            self.sampler,
            self._rules(),
            RescueLimits(kept_per_second=settings.max_kept_traces_per_second),
            pipeline.emit,
        )
        sampler = RescueSampler(self.rescuer, caller_decision, self.sampler.description)
        on_start = pipeline.started if pipeline.has_processors else None
        resource = build_resource(settings, resource_attributes)
        self.provider = make_provider(settings, resource, sampler)
        self.provider.add_span_processor(RescueProcessor(sampler, on_start))
        self.engine.recording = _build.recording(self.provider, self.rescuer, self.sampler.root, on_start)

    def _rules(self) -> RescueRules:
        settings = self.settings
        rate = settings.error_sampling_rate
        slow, by_route = settings.slow_threshold_ms, settings.slow_thresholds_ms
        if settings.traces_sampler.endswith("always_off") and not settings.error_sampling_rate_is_set:
            rate, slow, by_route = 0.0, None, {}
        return RescueRules(error_rate=rate, slow_ms=slow, slow_ms_by_route=by_route)

    def _set_service(self) -> None:
        settings = self.settings
        attributes = self.provider.resource.attributes if self.provider is not None else {}
        logs.set_service(
            name=settings.service_name,
            version=settings.service_version,
            environment=settings.environment,
            node_name=attributes.get("service.instance.id"),
        )

    @property
    def makes_spans(self) -> bool:
        """Whether spans are made, by us or by the provider that was there before."""
        return self.provider is not None or self.foreign is not None

    # Installing ----------------------------------------------------------------------------------

    def install(self) -> None:
        """Make this configuration the process's."""
        self._former_propagator = install(self.provider, self.propagation)
        self.engine.startup = self._lifespan_began
        self.engine.shutdown = self._lifespan_ended
        current.engine = self.engine
        if self.exporters or self.processors:
            self.signals.install()

    def uninstall(self) -> None:
        """Undo ``install``."""
        if current.engine is self.engine:
            current.engine = None
        self.signals.remove()
        uninstall(self.provider, self._former_propagator)

    def _lifespan_began(self) -> None:
        self.budget.begin()
        logs.reassert()
        if self.exporters or self.processors:
            self.signals.install()

    async def _lifespan_ended(self) -> None:
        await run_sync(self.flush_at_end, abandon_on_cancel=True)

    def flush_at_end(self) -> None:
        """Deliver what is queued within what is left of the exit budget."""
        self.flush(self.budget.remaining_s())

    # Flushing ------------------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Deliver everything that is queued.

        Args:
            timeout_s: Seconds to wait at most.

        Returns:
            Whether all of it was delivered in time.
        """
        if self.rescuer is not None:
            self.rescuer.release_sampled()
        return self._each("force_flush", timeout_s)

    def shutdown(self, timeout_s: float) -> bool:
        """Deliver what can be delivered in time, then stop every thread.

        Args:
            timeout_s: Seconds to wait at most.
        """
        deadline = monotonic() + timeout_s
        delivered = self.flush(timeout_s)
        self._each("shutdown", max(0.0, deadline - monotonic()))
        if self.sampler is not None:
            self.sampler.close()
        return delivered

    def _each(self, verb: str, timeout_s: float) -> bool:
        """Call every processor side by side: the slowest one must not eat the time of the others."""
        deadline = monotonic() + timeout_s
        results: list[bool] = []
        threads = []
        for processor in (*self.exporters, *self.processors):
            call = _bounded(processor, verb, timeout_s, results)
            if len(self.exporters) == 1 and not self.processors:
                call()
            else:
                thread = threading.Thread(target=call, name="eco2-tracing-flush", daemon=True)
                thread.start()
                threads.append(thread)
        for thread in threads:
            thread.join(max(0.0, deadline - monotonic()))
        return len(results) == len(self.exporters) + len(self.processors) and all(results)

    # Fork and status -----------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a child process: nothing that was held or counted is ours, the instance is a new one."""
        if self.rescuer is None or self.provider is None or self.engine.recording is None:
            return
        self.rescuer.after_fork()
        resource = after_fork_resource(self.provider.resource)
        self.provider._resource = resource
        for tracer in self.provider._tracers.values():
            tracer.resource = resource
        self.engine.recording.server.resource = resource
        self.engine.recording.client.resource = resource
        self._set_service()

    def status(self) -> TracingStatus:
        """How it stands at this moment."""
        dropped: dict[str, int] = dict(self.rescuer.dropped) if self.rescuer is not None else {}
        stats = [exporter.stats() for exporter in self.exporters if hasattr(exporter, "stats")]
        for one in stats:
            for reason, count in one.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + count
        errors = [one for one in stats if one.last_error_at is not None]
        last = max(errors, key=lambda one: one.last_error_at, default=None)
        return TracingStatus(
            enabled=self.makes_spans,
            endpoints=tuple(one.endpoint for one in stats),
            sampler=self.sampler.description if self.sampler is not None else "none",
            propagators=self.propagation.names,
            spans_sent=sum(one.sent for one in stats),
            spans_queued=sum(one.queued for one in stats),
            spans_dropped=dropped,
            traces_kept=dict(self.rescuer.kept) if self.rescuer is not None else {},
            last_export_error=last.last_error if last is not None else None,
            last_export_error_at=last.last_error_at if last is not None else None,
            external_hosts=tuple(self.engine.external_hosts),
        )

    def announce(self) -> None:
        """Say in one line what is in force."""
        settings = self.settings
        if settings.disabled:
            logger.info("tracing is disabled: no spans; trace headers travel on")
        elif self.foreign is not None:
            logger.info(
                "a tracer provider is already installed (%s): it stays in charge of sampling and export",
                type(self.foreign).__name__,
            )
        elif self.sampler is not None:
            logger.info(
                "tracing %s to %s; %s; failing requests kept: %g %%; propagators %s",
                settings.service_name or "unknown_service",
                ", ".join(self._destinations()) or "nowhere (no exporter)",
                self.sampler.description,
                self._rules().error_rate * 100,
                ",".join(self.propagation.names),
            )

    def _destinations(self) -> list[str]:
        plain = "plaintext" if self.settings.otlp.insecure else "TLS"
        return [
            f"{exporter.stats().endpoint} ({plain})" if hasattr(exporter, "stats") else type(exporter).__name__
            for exporter in self.exporters
        ]


def _bounded(processor: Any, verb: str, timeout_s: float, results: list[bool]) -> Callable[[], None]:
    def call() -> None:
        try:
            if verb == "force_flush":
                results.append(processor.force_flush(int(timeout_s * 1000)) is not False)
            else:
                processor.shutdown()
                results.append(True)
        except Exception:
            internal_failure(f"{type(processor).__name__}.{verb}")
            results.append(False)

    return call


def caller_decision(context: Context) -> CallerDecision:
    """What propagation left in a context about sampling."""
    inbound = inbound_of(context)
    if inbound is None:
        return CallerDecision(deferred=False, denied=False)
    caller = get_current_span(context).get_span_context()
    if caller.is_valid and caller.trace_id != inbound.trace_id:
        # The context of another caller on top of the request's, as in a consumer.
        return CallerDecision(deferred=False, denied=inbound.denied)
    return CallerDecision(inbound.sampled is None, inbound.denied, inbound.sampled is True)
