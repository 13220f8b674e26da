"""The `TracerProvider`: a subclass of the SDK's provider with tracers of this library.

It uses only the public constructor and methods of the SDK's class.
"""

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
    """A provider whose tracers create `Span` objects of this library.

    Args:
        registry: The tracers of the process.
        factory: The factory of the spans after the provider is installed.
        sampler: The public sampler of the provider.
        add: Adds a span processor of the application.
        flush: Exports queued spans within a number of seconds. It returns True if all were exported.
        stop: Exports queued spans and stops the exporters.
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
        """Export queued spans.

        Args:
            timeout_millis: Maximum wait in milliseconds.

        Returns:
            True if all queued spans were exported in time.
        """
        return self._flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Export queued spans and stop the exporters, within the exit budget."""
        self._stop()
