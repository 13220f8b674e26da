"""The `TracerProvider`: a subclass of the SDK's provider with tracers of this library.

It uses only the public constructor and methods of the SDK's class.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from eco2_tracing._compat.sdk import WithoutForkHook
from eco2_tracing._forks import renew_in_child
from eco2_tracing._guard import guarded, warn_once
from eco2_tracing._spans.tracer import SpanFactory, TracerRegistry

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.util.types import Attributes

    from eco2_tracing._settings import Settings
    from eco2_tracing._spans.tracer import Decide, Tracer

tracers = TracerRegistry()
"""The tracers of this process. They stay valid after a reconfiguration, because modules keep their tracers."""


class OwnRandomIds(RandomIdGenerator):
    """The SDK's id generator with its own random source.

    The SDK uses Python's shared source. An application may seed it, and after a fork in C, as by uWSGI, all children
    would generate the same ids: Python seeds it only after its own forks.
    """

    def __init__(self) -> None:
        self._source = Random()  # noqa: S311 - ids are not secrets
        self._bits = self._source.getrandbits
        renew_in_child(self)

    def generate_span_id(self) -> int:
        """Return 64 random bits, not all zero."""
        return self._bits(64) or self.generate_span_id()

    def generate_trace_id(self) -> int:
        """Return 128 random bits, not all zero."""
        return self._bits(128) or self.generate_trace_id()

    def after_fork(self) -> None:
        """Seed from the operating system."""
        self._source.seed()


def build_factory(settings: Settings, resource: Resource, decide: Decide) -> SpanFactory:
    """Return the factory that creates the spans of one configuration."""
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
    """Return the id generator of an entry point such as ``xray``; the built-in one if it cannot be loaded."""
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


class TracerProvider(WithoutForkHook, SdkTracerProvider):
    """A provider whose tracers create `Span` objects of this library, once it is installed.

    ``add`` adds a span processor of the application. ``flush`` exports queued spans within a number of seconds and
    returns True if all were exported. ``stop`` exports them and stops the exporters.
    """

    def __init__(
        self,
        registry: TracerRegistry,
        factory: SpanFactory,
        sampler: Sampler,
        *,
        add: Callable[[SpanProcessor], None],
        flush: Callable[[float], bool],
        stop: Callable[[], object],
    ) -> None:
        super().__init__(
            sampler=sampler,
            resource=factory.resource,
            shutdown_on_exit=False,
            id_generator=factory.id_generator,
            span_limits=factory.limits,
        )
        self._tracer_registry = registry
        self.factory = factory
        self._add, self._flush, self._stop = add, flush, stop

    @property
    def resource(self) -> Resource:
        """The resource of the spans. It is replaced in a forked child."""
        return self.factory.resource

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """Return the tracer of an instrumentation scope."""
        name: Any = instrumenting_module_name or ""
        return self._tracer_registry.get(
            InstrumentationScope(name, instrumenting_library_version, schema_url, attributes)
        )

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Add a span processor. It is called with exported spans only."""
        self._add(span_processor)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export queued spans; return True if all of them were exported in time."""
        return self._flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Export queued spans and stop the exporters, within the exit budget."""
        self._stop()
