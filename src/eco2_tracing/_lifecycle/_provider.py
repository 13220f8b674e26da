"""The global tracer provider: ours, or somebody else's that stays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry import metrics, propagate, trace
from opentelemetry.sdk.trace import SpanLimits, Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._guard import internal_failure, warn_once
from eco2_tracing._ids import OwnRandomIds
from eco2_tracing._native import Lock
from eco2_tracing._settings import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler

    from eco2_tracing._settings import Settings


class Provider(TracerProvider):
    """The SDK's, but for two things that have to work for lean spans too.

    In a forked child ``Tracing.after_fork`` does what is to be done; and a processor that the application adds
    later stands behind our own, which alone knows the lean and the rescued spans.
    """

    take_processor: Callable[[SpanProcessor], None] | None = None
    refine: Callable[[Tracer], None] | None = None
    flush: Callable[[float], bool] | None = None

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what is queued; our exporters do not hang on the provider itself."""
        return (
            super().force_flush(timeout_millis) if self.flush is None else self.flush(timeout_millis / 1000)
        )

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a processor: ours first, then the application's by way of it."""
        if self.take_processor is None:
            super().add_span_processor(span_processor)
        else:
            self.take_processor(span_processor)

    def get_tracer(self, *arguments: Any, **keywords: Any) -> trace.Tracer:
        """Give a tracer; ours know a shorter way for spans that will most likely be forgotten."""
        if not mark[0]:
            notice_fork()
        tracer = super().get_tracer(*arguments, **keywords)
        self._refined(tracer)
        return tracer

    def _refined(self, tracer: trace.Tracer) -> None:
        if self.refine is not None and type(tracer) is Tracer:
            self.refine(tracer)

    def _handle_fork(self) -> None:
        pass


_retired: WeakSet[Tracer] = WeakSet()


def foreign_provider() -> trace.TracerProvider | None:
    """The provider that somebody else installed; ``None`` when there is none.

    The API is not asked: it would load what ``OTEL_PYTHON_TRACER_PROVIDER`` names, or raise.
    """
    provider: trace.TracerProvider | None = getattr(trace, "_TRACER_PROVIDER", None)
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider


def make_provider(settings: Settings, resource: Resource, sampler: Sampler) -> Provider:
    """Make the SDK's provider, with nothing of it read from the environment behind the settings' back.

    Args:
        settings: For limits and the id generator.
        resource: What the spans are about.
        sampler: Decides about every span of it.
    """
    provider = Provider(
        sampler=sampler,
        resource=resource,
        shutdown_on_exit=False,
        id_generator=id_generator(settings.id_generator),
        span_limits=span_limits(settings),
    )
    # ``OTEL_SDK_DISABLED`` was read with the settings, where explicit ones win.
    provider._disabled = False
    return provider


def mend_meters() -> None:
    """Put a provider that does nothing where the environment names one that cannot be loaded.

    The API would raise whenever it is asked, and every tracer of the SDK asks for meters.
    """
    try:
        metrics.get_meter_provider()
    except Exception:  # noqa: BLE001 - what the environment names may raise anything
        metrics.set_meter_provider(metrics.NoOpMeterProvider())
        _warn_of("OTEL_PYTHON_METER_PROVIDER")


def _mend_tracers() -> None:
    """The same for tracers, where none of ours is in charge: FastAPI asks for them at each request."""
    try:
        trace.get_tracer_provider()
    except Exception:  # noqa: BLE001  # pragma: no cover - as above; tested in processes of their own
        trace.set_tracer_provider(trace.NoOpTracerProvider())
        _warn_of("OTEL_PYTHON_TRACER_PROVIDER")


def _mend_loggers() -> None:
    """The same for log records: FastAPI asks for them at each request, too."""
    if "OTEL_PYTHON_LOGGER_PROVIDER" not in os.environ:
        return
    from opentelemetry import _logs

    try:
        _logs.get_logger_provider()
    except Exception:  # noqa: BLE001 - as above
        _logs.set_logger_provider(_logs.NoOpLoggerProvider())
        _warn_of("OTEL_PYTHON_LOGGER_PROVIDER")


def _warn_of(variable: str) -> None:
    found = shown(variable, os.environ.get(variable, ""))
    warn_once(f"provider:{variable}", "%s=%r cannot be loaded; none is used", variable, found)


def span_limits(settings: Settings) -> SpanLimits:
    """The SDK's limits object with every number given."""
    unlimited: Any = SpanLimits.UNSET
    length = settings.attribute_value_length_limit
    span_length = settings.span_attribute_value_length_limit
    return SpanLimits(
        max_attributes=settings.attribute_count_limit,
        max_span_attributes=settings.span_attribute_count_limit,
        max_events=settings.span_event_count_limit,
        max_links=settings.span_link_count_limit,
        max_event_attributes=settings.event_attribute_count_limit,
        max_link_attributes=settings.link_attribute_count_limit,
        max_attribute_length=unlimited if length is None else length,
        max_span_attribute_length=unlimited if span_length is None else span_length,
    )


def id_generator(name: str) -> IdGenerator:
    """The id generator by its entry point's name (group ``opentelemetry_id_generator``).

    Args:
        name: ``random``, or a name that an installed package gives, such as ``xray``.
    """
    if name == "random":
        return OwnRandomIds()
    from importlib.metadata import entry_points

    for point in entry_points(group="opentelemetry_id_generator", name=name):
        try:
            made = point.load()()
        except Exception:  # noqa: BLE001 - code of others
            internal_failure(f"loading the id generator {name!r}")
            continue
        if isinstance(made, IdGenerator):
            return made
    warn_once(
        f"id_generator:{name}", "OTEL_PYTHON_ID_GENERATOR=%s: no such id generator; random is used", name
    )
    return OwnRandomIds()


def install(provider: Provider | None, propagator: TextMapPropagator) -> Any:
    """Make them the global ones.

    Args:
        provider: Ours; ``None`` leaves the global one.
        propagator: Ours.

    Returns:
        The propagator that was global before, for ``uninstall``.
    """
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(propagator)
    if provider is not None:
        trace.set_tracer_provider(provider)
        _take_over(provider)
    _mend_tracers()
    _mend_loggers()
    return before


def set_resource(provider: TracerProvider, resource: Resource) -> None:
    """In a forked child: give a provider and its tracers their new resource.

    Args:
        provider: Ours.
        resource: The child's.
    """
    provider._tracers_lock = Lock()  # another thread may have held it
    provider._resource = resource
    for tracer in provider._tracers.values():
        tracer.resource = resource


def _take_over(provider: Provider) -> None:
    """Bring tracers of an earlier configuration back to life.

    ``trace.get_tracer`` at the top of a module gives a tracer that binds itself to one provider for good.
    """
    for tracer in list(_retired):
        tracer.sampler = provider.sampler
        tracer.resource = provider.resource
        tracer.span_processor = provider._active_span_processor
        tracer.id_generator = provider.id_generator
        tracer._span_limits = provider._span_limits
        provider._tracers.setdefault(tracer._instrumentation_scope, tracer)
        provider._refined(tracer)
    _retired.clear()


def _retire(provider: TracerProvider) -> None:
    for tracer in provider._tracers.values():
        tracer.sampler = ALWAYS_OFF
        tracer.__class__ = Tracer  # the shorter way leads to what is over
        _retired.add(tracer)


def uninstall(provider: TracerProvider | None, propagator: TextMapPropagator) -> None:
    """Undo ``install``: the API has no word for it, so its own state is put back.

    Args:
        provider: The one that was installed, if any.
        propagator: What ``install`` returned.
    """
    propagate.set_global_textmap(propagator)
    if provider is None:
        return
    state: Any = trace
    try:
        _retire(provider)
        if state._TRACER_PROVIDER is not provider:
            return
        state._TRACER_PROVIDER = None
        state._TRACER_PROVIDER_SET_ONCE._done = False
    except AttributeError:
        internal_failure("putting the API's tracer provider back")
