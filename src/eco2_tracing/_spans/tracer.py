"""Our `Tracer`: it asks the tail sampler once for each span and makes a `Span` or a non-recording one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_current_span,
    use_span,
)

from eco2_tracing._compat.api import span_block
from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._native import Lock
from eco2_tracing._spans.exceptions import record_error
from eco2_tracing._spans.library import LibrarySpan
from eco2_tracing._spans.limits import are_narrow
from eco2_tracing._spans.sanitize import is_now, moment, sanitized_attributes, sanitized_links, text_of

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Span, TraceState
    from opentelemetry.util.types import Attributes

    Start = tuple[Any, bool, TraceState | None, Attributes, bool, SpanContext | None]
    Decide = Callable[[Span, Context | None, int, str, SpanKind, Mapping[str, Any]], Start]


@dataclass(slots=True, eq=False)
class SpanFactory:
    """What all tracers of one configuration make spans from.

    Attributes:
        resource: The spans' resource; replaced in a forked child.
        limits: The spans' limits.
        id_generator: Generates ids.
        decide: Returns the sampling decision for a span that is about to start; see `ProviderSampler.decide`.
        on_start: Calls the application's span processors; ``None`` without any.
    """

    resource: Resource
    limits: SpanLimits
    id_generator: IdGenerator
    decide: Decide
    on_start: Callable[[Any, Context | None], None] | None = None


class Tracer(trace.Tracer):
    """A tracer of one instrumentation scope, and the `SpanSource` of its spans.

    Attributes:
        scope: The instrumentation scope.
        factory: The configuration's; ``None`` while none is installed: then no span records.
        resource: The factory's resource.
        limits: The factory's limits.
        narrow: Whether the limits are stricter than usual.
    """

    def __init__(self, scope: InstrumentationScope) -> None:
        self.scope = scope
        self.factory: SpanFactory | None = None
        self.narrow = False

    resource: Resource
    limits: SpanLimits

    def bind(self, factory: SpanFactory | None) -> None:
        """Use another configuration from the next span on."""
        if factory is not None:
            self.resource, self.limits = factory.resource, factory.limits
            self.narrow = are_narrow(factory.limits)
        self.factory = factory

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        """Start a span, as the API specifies. Never raises."""
        parent = get_current_span(context)
        above = parent.get_span_context()
        if not mark[0]:
            notice_fork()
        factory = self.factory
        if factory is None:
            return NonRecordingSpan(above)
        if type(name) is not str:
            name = text_of(name)
        if type(kind) is not SpanKind:
            kind = SpanKind.INTERNAL
        generator = factory.id_generator
        if above.is_valid:
            trace_id, flags = above.trace_id, above.trace_flags & _RANDOM
        else:
            trace_id = generator.generate_trace_id()
            flags = _RANDOM if generator.is_trace_id_random() else 0
        taken = sanitized_attributes(attributes)
        local, sampled, trace_state, added, is_root, caller = factory.decide(
            parent, context, trace_id, name, kind, taken
        )
        if caller is not None:
            return NonRecordingSpan(caller)
        own = SpanContext(trace_id, generator.generate_span_id(), False, _FLAGS[flags | sampled], trace_state)
        if local is None:
            return NonRecordingSpan(own)
        given = moment(start_time)
        begun = local.now() if given is None or is_now(given) else given
        span = LibrarySpan(self, own, above if above.is_valid else None, local, name, kind, begun)
        span.set_attributes(taken if added is None else added)
        if links is not None and (type(links) is not tuple or links):
            for link in sanitized_links(links):
                span.add_link(link.context, link.attributes)
        if not (record_exception and set_status_on_exception):
            span._records_exceptions = record_exception
            span._sets_status_on_exception = set_status_on_exception
        local.started(span, is_root=is_root)
        if factory.on_start is not None:
            factory.on_start(span, context)
        return span

    @span_block
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[Span]:
        """Start a span around a block, as the API specifies."""
        span = self.start_span(
            name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        )
        with use_span(span, end_on_exit, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except Exception as error:
                if span.is_recording():
                    record_error(span, error, record_exception, set_status_on_exception)
                raise


_RANDOM = 2
_FLAGS = tuple(TraceFlags(flags) for flags in range(4))
"""The four flag sets that occur, made once: sampled is 1, the random flag of W3C level 2 is 2."""


class TracerRegistry:
    """Every tracer of the process, by instrumentation scope.

    Modules fetch a tracer once and keep it, so tracers outlive a configuration: ``bind`` points all of them to
    the next one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._tracers: dict[InstrumentationScope, Tracer] = {}
        self._factory: SpanFactory | None = None

    def get(self, scope: InstrumentationScope) -> Tracer:
        """Return the tracer of a scope.

        Args:
            scope: Name, version, schema URL and attributes.
        """
        with self._lock:
            tracer = self._tracers.get(scope)
            if tracer is None:
                tracer = self._tracers[scope] = Tracer(scope)
                tracer.bind(self._factory)
            return tracer

    def bind(self, factory: SpanFactory | None) -> None:
        """Point every tracer to a configuration.

        Args:
            factory: The configuration's factory; ``None`` to stop recording.
        """
        with self._lock:
            self._factory = factory
            for tracer in self._tracers.values():
                tracer.bind(factory)

    def after_fork(self) -> None:
        """Replace the lock, which another thread of the parent may have held, and bind again."""
        self._lock = Lock()
        self.bind(self._factory)
