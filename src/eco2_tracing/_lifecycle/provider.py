"""The global tracer provider: ours, or somebody else's that stays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, propagate, trace
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import IdGenerator

from eco2_tracing._compat.api import forget_global_provider, global_provider
from eco2_tracing._guard import internal_failure, warn_once
from eco2_tracing._ids import OwnRandomIds
from eco2_tracing._settings import shown
from eco2_tracing._spans.provider import TracerProvider
from eco2_tracing._spans.tracer import SpanFactory, TracerRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler

    from eco2_tracing._settings import Settings
    from eco2_tracing._spans.tracer import Decide


_registry = TracerRegistry()


def make_factory(settings: Settings, resource: Resource, decide: Decide) -> SpanFactory:
    """Make what the tracers of a configuration make spans from.

    Args:
        settings: For limits and the id generator.
        resource: The spans' resource.
        decide: Returns the sampling decision for a span.
    """
    return SpanFactory(resource, span_limits(settings), id_generator(settings.id_generator), decide)


def make_provider(
    factory: SpanFactory,
    sampler: Sampler,
    *,
    add: Callable[[SpanProcessor], None],
    flush: Callable[[float], bool],
    stop: Callable[[], object],
) -> TracerProvider:
    """Make the provider of a configuration; see `TracerProvider` for the arguments."""
    return TracerProvider(_registry, factory, sampler, add=add, flush=flush, stop=stop)


def ensure_meter_provider() -> None:
    """Put a provider that does nothing where the environment names one that cannot be loaded.

    The API would raise whenever it is asked, and every tracer of the SDK asks for meters.
    """
    try:
        metrics.get_meter_provider()
    except Exception:  # noqa: BLE001 - what the environment names may raise anything
        metrics.set_meter_provider(metrics.NoOpMeterProvider())
        _warn_of("OTEL_PYTHON_METER_PROVIDER")


def _ensure_tracer_provider() -> None:
    """The same for tracers, where none of ours is in charge: FastAPI asks for them at each request."""
    try:
        trace.get_tracer_provider()
    except Exception:  # noqa: BLE001  # pragma: no cover - as above; tested in processes of their own
        trace.set_tracer_provider(trace.NoOpTracerProvider())
        _warn_of("OTEL_PYTHON_TRACER_PROVIDER")


def _ensure_logger_provider() -> None:
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


def install(provider: TracerProvider | None, propagator: TextMapPropagator) -> Any:
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
        _registry.bind(provider.factory)
    _ensure_tracer_provider()
    _ensure_logger_provider()
    return before


def after_fork(provider: TracerProvider, resource: Resource) -> None:
    """Give the provider and its tracers the resource of a forked child.

    Args:
        provider: Ours.
        resource: The child's.
    """
    provider.factory.resource = resource
    _registry.after_fork()


def uninstall(provider: TracerProvider | None, propagator: TextMapPropagator) -> None:
    """Undo ``install``: the API has no word for it, so its own state is put back.

    Args:
        provider: The one that was installed, if any.
        propagator: What ``install`` returned.
    """
    propagate.set_global_textmap(propagator)
    if provider is None:
        return
    _registry.bind(None)
    if global_provider() is not provider:
        return
    try:
        forget_global_provider()
    except AttributeError:
        internal_failure("putting the API's tracer provider back")
