"""Builds the tracer provider from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import IdGenerator

from eco2_tracing._guard import guarded, warn_once
from eco2_tracing._ids import OwnRandomIds
from eco2_tracing._spans.tracer import SpanFactory, TracerRegistry

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from eco2_tracing._settings import Settings
    from eco2_tracing._spans.tracer import Decide

tracers = TracerRegistry()
"""The tracers of this process. They stay valid after a reconfiguration, because modules keep their tracers."""


def build_factory(settings: Settings, resource: Resource, decide: Decide) -> SpanFactory:
    """Return the factory that creates the spans of one configuration.

    Args:
        settings: The source of the limits and of the id generator.
        resource: The resource of the spans.
        decide: Returns the sampling decision for a span.
    """
    return SpanFactory(resource, _span_limits(settings), _id_generator(settings.id_generator), decide)


def _span_limits(settings: Settings) -> SpanLimits:
    """Return the SDK's limits. `UNSET` stands for no limit, because the SDK reads the environment for `None`."""
    unlimited = SpanLimits.UNSET
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


def _id_generator(name: str) -> IdGenerator:
    """Return the id generator of an entry point such as ``xray``.

    The built-in generator is returned for ``random`` and if the entry point cannot be loaded.
    """
    if name == "random":
        return OwnRandomIds()
    from importlib.metadata import entry_points

    for point in entry_points(group="opentelemetry_id_generator", name=name):
        with guarded(f"loading the id generator {name!r}"):
            generator = point.load()()
            if isinstance(generator, IdGenerator):
                return generator
    warn_once(
        f"id_generator:{name}", "OTEL_PYTHON_ID_GENERATOR=%s: no such id generator; random is used", name
    )
    return OwnRandomIds()
