"""The parts that one configuration consists of: built, installed, flushed and shut down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource

from eco2_tracing._compat.api import global_provider
from eco2_tracing._console.buffer import LogBuffer
from eco2_tracing._export import build_processors
from eco2_tracing._export.destinations import Destinations
from eco2_tracing._forks import notice_fork
from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.build import build_instrumenter, build_state, use_external
from eco2_tracing._instrumentation.common.state import InstrumentationState, current
from eco2_tracing._lifecycle import global_state
from eco2_tracing._lifecycle.counts import delivered
from eco2_tracing._lifecycle.decisions import caller_decision, tail_rules
from eco2_tracing._lifecycle.delivery import Delivery, ExitBudget
from eco2_tracing._lifecycle.external_sampler import ExternalPropagation
from eco2_tracing._lifecycle.processes import TerminationHandler, prepare_host, run_off_loop
from eco2_tracing._lifecycle.signals import Counts, OtherSignals, is_any_on
from eco2_tracing._lifecycle.waiting import Patience, person_waits
from eco2_tracing._native import RLock
from eco2_tracing._redaction import Redactor
from eco2_tracing._resource import after_fork_resource, build_resource
from eco2_tracing._spans.pipeline import Pipeline
from eco2_tracing._spans.provider import TracerProvider, build_factory, tracers
from eco2_tracing.logs._configure import reassert_logging, tap_log_lines
from eco2_tracing.logs._shared import set_redactor, set_service
from eco2_tracing.propagation import Propagation
from eco2_tracing.sampling import build_sampler
from eco2_tracing.sampling._tail.limits import TailLimits
from eco2_tracing.sampling._tail.sampler import ProviderSampler, TailSampler

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._settings import Settings
    from eco2_tracing._spans.pipeline import BeforeExport
    from eco2_tracing.metrics._health import Delivered
    from eco2_tracing.propagation import Inbound
    from eco2_tracing.sampling import BuiltSampler


class Tracing:
    """Everything that ``configure_tracing`` builds from settings and arguments. It has no effect before ``install``."""

    def __init__(
        self,
        settings: Settings,
        resource_attributes: Mapping[str, AttributeValue] | None,
        span_processors: Sequence[SpanProcessor],
        before_export: BeforeExport | None = None,
    ) -> None:
        self.settings = settings
        self.provider: TracerProvider | None = None
        self.tail_sampler: TailSampler | None = None
        self.sampler: BuiltSampler | None = None
        self.pipeline: Pipeline | None = None
        self.rules = tail_rules(settings)
        self.budget = ExitBudget(RLock())
        self.patience = Patience()
        self.signals = TerminationHandler(self.flush_at_end)
        global_state.ensure_meter_provider()
        self.external_provider = None if settings.disabled else global_provider()
        external = self.external_provider
        self.propagation = (Propagation if external is None else ExternalPropagation)(
            settings.propagators,
            targets=settings.propagation_targets,
            propagate_externally=settings.propagate_externally,
            trust_inbound=settings.trust_inbound,
        )
        if isinstance(self.propagation, ExternalPropagation):
            self.propagation.sampler = getattr(external, "sampler", None)
        self.redactor = Redactor(settings.redact_keys, numbers=settings.redact_numbers)
        self.service_name = settings.service_name
        self.state: InstrumentationState = build_state(settings, self.propagation, self.redactor)
        self.delivery = Delivery((), (), external)
        self.destinations = Destinations()
        self._resource = Resource({})
        self._lines: LogBuffer | None = None
        self.contrib_calls = False
        self.unused: list[str] = []
        if external is not None:
            given = {
                "span_processors": span_processors,
                "resource_attributes": resource_attributes,
                "before_export": before_export,
            }
            self.unused = [name for name, value in given.items() if value]
            use_external(self.state, external)
        elif not settings.disabled:
            self._build_recording(resource_attributes, span_processors, before_export)
        self.others = self.delivery.others = self._build_others(resource_attributes)

    def _build_others(self, resource_attributes: Mapping[str, AttributeValue] | None) -> OtherSignals:
        """Build metrics and logs, which have the resource of the spans, also under an external tracer provider."""
        settings, sampler = self.settings, self.tail_sampler
        if self.provider is None and is_any_on(settings):
            self._resource = build_resource(settings, resource_attributes, redactor=self.redactor)
        kept = dict[str, int] if sampler is None else lambda: dict(sampler.buffer.kept)
        others = OtherSignals(
            settings,
            lambda: self._resource if self.provider is None else self.provider.resource,
            self.redactor,
            self.destinations,
            Counts(self.span_counts, kept),
            self.flush,
        )
        others.observe(*self.delivery.exporters)
        return others

    def span_counts(self) -> Delivered:
        """Return how many spans were sent, wait, and were dropped by reason."""
        lost: dict[str, int] = {}
        if self.tail_sampler is not None:
            lost.update(self.tail_sampler.buffer.dropped)
        if self.pipeline is not None:
            lost.update(self.pipeline.dropped)
        return delivered(self.delivery.stats(), lost)

    def _build_recording(
        self,
        resource_attributes: Mapping[str, AttributeValue] | None,
        span_processors: Sequence[SpanProcessor],
        before_export: BeforeExport | None,
    ) -> None:
        settings = self.settings
        resource = build_resource(settings, resource_attributes, redactor=self.redactor)
        self.service_name = str(resource.attributes["service.name"])
        self.sampler = build_sampler(
            settings.traces_sampler,
            settings.traces_sampler_arg,
            workers=settings.workers,
            service_name=self.service_name,
        )
        if "waterfall" in settings.traces_exporter:
            self._lines = LogBuffer()
        take_lines = None if self._lines is None else self._lines.take
        exporters = build_processors(settings, take_lines, self.destinations)
        processors = list(span_processors)
        self.delivery = Delivery(exporters, processors)
        pipeline = self.pipeline = Pipeline(self.redactor, processors, exporters, before_export)
        self.tail_sampler = TailSampler(
            self.sampler,
            self.rules,
            TailLimits(kept_per_second=settings.max_kept_traces_per_second),
            pipeline.emit,
        )
        sampler = ProviderSampler(self.tail_sampler, caller_decision, self.sampler.description)
        factory = build_factory(settings, resource, sampler.decide)

        def call_on_start() -> None:
            """Call ``on_start`` from now on. Without processors it is not called: it derives attributes."""
            factory.on_start = pipeline.started

        def add(processor: SpanProcessor) -> None:
            processors.append(processor)
            call_on_start()
            self._install_signal_handlers()

        self.provider = TracerProvider(
            tracers, factory, sampler, add=add, flush=self.flush, stop=self.shutdown_at_end
        )
        self.state.instrumenter = build_instrumenter(self.provider, self.tail_sampler, self.sampler.root)
        if processors:
            call_on_start()

    @property
    def makes_spans(self) -> bool:
        """True if spans are recorded, by us or by an external provider."""
        return self.provider is not None or self.external_provider is not None

    def install(self) -> None:
        """Make this configuration the one in force."""
        self._former_propagator = global_state.install(self.provider, self.propagation)
        self.state.startup = self._on_lifespan_startup
        self.state.shutdown = self._on_lifespan_shutdown
        self.state.read = self._first_read
        current.state = self.state
        set_redactor(self.redactor)
        if self._lines is not None:
            tap_log_lines(self._lines.add)
        self._name_service()
        exports_spans = self.external_provider is not None or self.delivery.exports_spans
        self.others.install(self.state, exports_spans=exports_spans)
        self._install_signal_handlers()
        if self.delivery:
            prepare_host()

    def uninstall(self) -> None:
        """Undo ``install``."""
        current.state = None
        tap_log_lines(None)
        self.others.uninstall(self.state)
        self.signals.remove()
        global_state.uninstall(self.provider, self._former_propagator)

    def _name_service(self) -> None:
        settings = self.settings
        resource = self.provider and self.provider.resource
        instance = resource and resource.attributes.get("service.instance.id")
        set_service(
            name=settings.service_name,
            version=settings.service_version,
            environment=settings.environment,
            node_name=None if instance is None else str(instance),
        )

    def _install_signal_handlers(self) -> None:
        if self.delivery:
            self.signals.install()

    def _first_read(self, headers: Iterable[tuple[bytes, bytes]]) -> Inbound | None:
        """Replace ``Propagation.extract_headers`` for the first request of a process.

        The server has set its signal handlers by then. An application may have no lifespan.
        """
        self.state.read = self.propagation.extractor.extract
        with guarded("the first request of a process"):
            self._on_worker_start()
        return self.propagation.extract_headers(headers)

    def _on_lifespan_startup(self) -> None:
        self.redactor.prepare()
        self._on_worker_start()

    def _on_worker_start(self) -> None:
        reassert_logging()
        self.others.start()
        self._install_signal_handlers()

    async def _on_lifespan_shutdown(self) -> None:
        await run_off_loop(self.flush_at_end, "the flush at the end of a lifespan")

    def flush_at_end(self) -> bool:
        """Deliver what is queued, within the rest of the exit budget."""
        notice_fork()
        with self.budget.spend() as left_s:
            return self.flush(self._useful(left_s))

    def _useful(self, left_s: float) -> float:
        """Return how long to wait for exports: shorter where a person waits and nothing listens."""
        if self.delivery.processors or not person_waits():  # the application's processors have the same time
            return left_s
        if self.tail_sampler is not None:
            self.tail_sampler.buffer.release_sampled()
        return self.patience.useful_seconds(self.delivery.queues, left_s)

    def shutdown_at_end(self) -> bool:
        """Shut down, within the rest of the exit budget."""
        notice_fork()
        with self.budget.spend() as left_s:
            return self.shutdown(self._useful(left_s))

    def flush(self, timeout_s: float) -> bool:
        """Deliver everything that is queued; return True if all of it was delivered in time."""
        notice_fork()
        if self.tail_sampler is not None:
            self.tail_sampler.buffer.release_sampled()
        return self.delivery.flush(timeout_s)

    def shutdown(self, timeout_s: float) -> bool:
        """Deliver what can be delivered in time, then stop every thread; return True if everything was delivered."""
        if self.tail_sampler is not None:
            self.tail_sampler.buffer.release_sampled()
        delivered = self.delivery.shutdown(timeout_s)
        self.discard()
        return delivered

    def discard(self) -> None:
        """Release a configuration that was never installed or is no longer in force."""
        if self.sampler is not None:
            self.sampler.close()

    def after_fork(self) -> None:
        """In a forked child: reset counts, locks and the instance id of the resource."""
        self.budget = self.budget.of_child(RLock())
        self.state.read = self._first_read
        if self._lines is not None:
            self._lines.reset()
        self._resource = after_fork_resource(self._resource)
        if self.tail_sampler is None or self.provider is None:
            return
        self.tail_sampler.after_fork()
        self.provider.factory.resource = after_fork_resource(self.provider.resource)
        tracers.after_fork()
        self._name_service()
