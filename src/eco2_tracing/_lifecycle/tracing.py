"""One configuration of tracing, from the settings to the running parts and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.trace import get_current_span

from eco2_tracing._compat.api import global_provider
from eco2_tracing._export import build_processors
from eco2_tracing._forks import notice_fork
from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.build import build_recording, build_state, use_external
from eco2_tracing._instrumentation.common.state import InstrumentationState, current
from eco2_tracing._lifecycle import provider
from eco2_tracing._lifecycle.budget import ExitBudget
from eco2_tracing._lifecycle.deferred import ExternalPropagation
from eco2_tracing._lifecycle.delivery import Delivery
from eco2_tracing._lifecycle.host_programs import prepare_host
from eco2_tracing._lifecycle.off_loop import aside
from eco2_tracing._lifecycle.signals import TerminationHandler
from eco2_tracing._native import RLock
from eco2_tracing._redaction import Redactor
from eco2_tracing._resource import after_fork_resource, build_resource
from eco2_tracing._spans.pipeline import Pipeline
from eco2_tracing.logs._configure import reassert_logging
from eco2_tracing.logs._shared import set_redactor, set_service
from eco2_tracing.propagation import Propagation, inbound_of
from eco2_tracing.sampling import build_sampler
from eco2_tracing.sampling._tail.provider_sampler import CallerDecision, ProviderSampler
from eco2_tracing.sampling._tail.rules import TailLimits, TailRules
from eco2_tracing.sampling._tail.sampler import TailSampler

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor

    from eco2_tracing._export import SpanBatcher
    from eco2_tracing._settings import Settings
    from eco2_tracing._spans.provider import TracerProvider
    from eco2_tracing.propagation import Inbound
    from eco2_tracing.sampling import BuiltSampler


class Tracing:
    """Everything that ``configure_tracing`` made. Nothing of it is in force before ``install``.

    Args:
        settings: What to make it from.
        resource_attributes: Further resource attributes of the application's.
        span_processors: The application's processors.
    """

    def __init__(
        self,
        settings: Settings,
        resource_attributes: Mapping[str, Any] | None,
        span_processors: Sequence[SpanProcessor],
    ) -> None:
        self.settings = settings
        self.provider: TracerProvider | None = None
        self.tail_sampler: TailSampler | None = None
        self.sampler: BuiltSampler | None = None
        self.rules = _rules(settings)
        self.budget = ExitBudget(RLock())
        self.signals = TerminationHandler(self.flush_at_end)
        provider.ensure_meter_provider()
        self.foreign = None if settings.disabled else global_provider()
        follows = Propagation if self.foreign is None else partial(ExternalPropagation, self.foreign)
        self.propagation = follows(
            settings.propagators,
            targets=settings.propagation_targets,
            propagate_externally=settings.propagate_externally,
            trust_inbound=settings.trust_inbound,
        )
        self.redactor = Redactor(settings.redact_keys, numbers=settings.redact_numbers)
        self.service_name = settings.service_name
        self.state: InstrumentationState = build_state(settings, self.propagation, self.redactor)
        self.delivery = Delivery((), (), self.foreign)
        self.contrib_calls = False
        self.unused: list[str] = []
        if self.foreign is not None:
            given = {"span_processors": span_processors, "resource_attributes": resource_attributes}
            self.unused = [name for name, value in given.items() if value]
            use_external(self.state, self.foreign)
        elif not settings.disabled:
            self._build_recording(resource_attributes, span_processors)

    def _build_recording(
        self, resource_attributes: Mapping[str, Any] | None, span_processors: Sequence[SpanProcessor]
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
        exporters = cast("list[SpanBatcher]", build_processors(settings))
        self.delivery = Delivery(exporters, span_processors)
        pipeline = Pipeline(self.redactor, span_processors, exporters)
        self.tail_sampler = TailSampler(
            self.sampler,
            self.rules,
            TailLimits(kept_per_second=settings.max_kept_traces_per_second),
            pipeline.emit,
        )
        sampler = ProviderSampler(self.tail_sampler, caller_decision, self.sampler.description)
        factory = provider.make_factory(settings, resource, sampler.decide)

        def announce_starts() -> None:
            """Call processors at a span's start: only where there are any, for it derives attributes."""
            factory.on_start = pipeline.started

        def add(processor: SpanProcessor) -> None:
            pipeline.add(processor)
            self.delivery.add(processor)
            announce_starts()
            self._stand_ready()

        self.provider = provider.make_provider(
            factory, sampler, add=add, flush=self.flush, stop=self.shutdown_at_end
        )
        self.state.recording = build_recording(self.provider, self.tail_sampler, self.sampler.root)
        if pipeline.has_processors:
            announce_starts()

    @property
    def makes_spans(self) -> bool:
        """Whether spans are made, by us or by the provider that was there before."""
        return self.provider is not None or self.foreign is not None

    # Installing ----------------------------------------------------------------------------------

    def install(self) -> None:
        """Make this configuration the process's."""
        self._former_propagator = provider.install(self.provider, self.propagation)
        self.state.startup = self._startup
        self.state.shutdown = self._lifespan_ended
        self.state.read = self._first_read
        current.state = self.state
        set_redactor(self.redactor)
        self._name_service()
        self._stand_ready()
        if self.delivery:
            prepare_host()

    def uninstall(self) -> None:
        """Undo ``install``."""
        current.state = None
        self.signals.remove()
        provider.uninstall(self.provider, self._former_propagator)

    def _name_service(self) -> None:
        settings = self.settings
        attributes: Mapping[str, Any] = self.provider.resource.attributes if self.provider is not None else {}
        set_service(
            name=settings.service_name,
            version=settings.service_version,
            environment=settings.environment,
            node_name=attributes.get("service.instance.id"),
        )

    def _stand_ready(self) -> None:
        if self.delivery:
            self.signals.install()

    def _first_read(self, headers: Iterable[tuple[bytes, bytes]]) -> Inbound | None:
        """Stand in for ``Propagation.read`` at the first request of a process.

        By then the server has set its signal handlers, and there may be no lifespan to tell us so.
        """
        self.state.read = self.propagation.extractor.extract
        try:
            self._lifespan_began()
        except Exception:  # noqa: BLE001 - the request goes on
            internal_failure("the first request of a process")
        return self.propagation.read(headers)

    def _startup(self) -> None:
        self.redactor.prepare()
        self._lifespan_began()

    def _lifespan_began(self) -> None:
        reassert_logging()
        self._stand_ready()

    async def _lifespan_ended(self) -> None:
        await aside(self.flush_at_end)

    # The end -------------------------------------------------------------------------------------

    def flush_at_end(self) -> bool:
        """Deliver what is queued within what is left of the exit budget."""
        notice_fork()
        with self.budget.spend() as left_s:
            return self.flush(left_s)

    def shutdown_at_end(self) -> bool:
        """Deliver, and let go of everything, within what is left of the exit budget."""
        notice_fork()
        with self.budget.spend() as left_s:
            return self.shutdown(left_s)

    def flush(self, timeout_s: float) -> bool:
        """Deliver everything that is queued.

        Args:
            timeout_s: Seconds to wait at most.

        Returns:
            Whether all of it was delivered in time.
        """
        notice_fork()
        if self.tail_sampler is not None:
            self.tail_sampler.release_sampled()
        return self.delivery.flush(timeout_s)

    def shutdown(self, timeout_s: float) -> bool:
        """Deliver what can be delivered in time, then stop every thread.

        Args:
            timeout_s: Seconds to wait at most.
        """
        if self.tail_sampler is not None:
            self.tail_sampler.release_sampled()
        delivered = self.delivery.shutdown(timeout_s)
        self.discard()
        return delivered

    def discard(self) -> None:
        """Let go of a configuration that was never installed, or is no more."""
        if self.sampler is not None:
            self.sampler.close()

    # Fork ----------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a child process: nothing that was held or counted is ours, the instance is a new one."""
        self.budget = self.budget.of_child(RLock())
        self.state.read = self._first_read
        if self.tail_sampler is None or self.provider is None:
            return
        self.tail_sampler.after_fork()
        resource = after_fork_resource(self.provider.resource)
        provider.after_fork(self.provider, resource)
        self._name_service()


def _rules(settings: Settings) -> TailRules:
    rate = settings.error_sampling_rate
    slow, by_route = settings.slow_threshold_ms, settings.slow_thresholds_ms
    if settings.traces_sampler.endswith("always_off") and not settings.error_sampling_rate_is_set:
        rate, slow, by_route = 0.0, None, {}
    return TailRules(error_rate=rate, slow_ms=slow, slow_ms_by_route=by_route)


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
