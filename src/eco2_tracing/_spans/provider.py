"""Our `TracerProvider`: the SDK's, by its public constructor and methods, with tracers of our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from eco2_tracing._compat.sdk import WithoutForkHook

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler
    from opentelemetry.util.types import Attributes

    from eco2_tracing._spans.tracer import SpanFactory, Tracer, TracerRegistry


class TracerProvider(WithoutForkHook, SdkTracerProvider):
    """A provider whose tracers make our spans.

    Args:
        registry: The process's tracers.
        factory: What they make spans from, once the provider is installed.
        sampler: The provider's public sampler.
        add: Takes a span processor of the application.
        flush: Delivers what is queued within a number of seconds; returns whether it could.
        stop: Delivers what is queued and stops the exporters.
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
        """The resource of the spans; a forked child has its own."""
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
        """Add a span processor: it is called with the spans that are exported."""
        self._add(span_processor)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what is queued.

        Args:
            timeout_millis: Milliseconds to wait at most.

        Returns:
            Whether everything was delivered in time.
        """
        return self._flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Deliver what is queued and stop the exporters, within the exit budget."""
        self._stop()
