"""The `Tracer` of this library. It samples each span once, and creates a `Span` or a non-recording span."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
from eco2_tracing._spans.sanitize import (
    are_narrow,
    is_now,
    sanitized_attributes,
    sanitized_links,
    text_of,
    timestamp_of,
)
from eco2_tracing._spans.span import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import TraceState
    from opentelemetry.util.types import Attributes

    Start = tuple[Any, bool, TraceState | None, Attributes, bool, SpanContext | None]
    OnStart = Callable[[Span, Context | None], None]
    Decide = Callable[[trace.Span, Context | None, int, str, SpanKind, Mapping[str, Any]], Start]

RANDOM_FLAG = 2
"""The random flag of W3C Trace Context level 2."""

_FLAGS = tuple(TraceFlags(flags) for flags in range(4))
"""The four possible flags, created once. Bit 0 is the sampled flag, bit 1 the random flag."""


@dataclass(slots=True, eq=False, repr=False)
class SpanFactory:
    """The shared parts of all spans of one configuration. In a forked child the resource is replaced.

    ``decide`` is `ProviderSampler.decide`. ``on_start`` calls that method of the application's span processors; it is
    ``None`` if there are none. ``random_flag`` are the flags of a new trace: W3C level 2's random flag, 2, or 0.
    """

    resource: Resource
    limits: SpanLimits
    id_generator: IdGenerator
    decide: Decide
    on_start: OnStart | None = None
    new_trace_id: Callable[[], int] = field(init=False)
    new_span_id: Callable[[], int] = field(init=False)
    random_flag: int = field(init=False)

    def __post_init__(self) -> None:
        self.new_trace_id = self.id_generator.generate_trace_id
        self.new_span_id = self.id_generator.generate_span_id
        self.random_flag = RANDOM_FLAG if _is_random(self.id_generator) else 0


def _is_random(generator: IdGenerator) -> bool:
    """Return True if the generator declares random trace ids. Before API 1.40 it has no method for that."""
    is_random: Callable[[], bool] = getattr(generator, "is_trace_id_random", lambda: False)
    return is_random()


class Tracer(trace.Tracer):
    """A tracer of one instrumentation scope, and the `SpanSource` of its spans.

    Without a factory, no span records.
    """

    def __init__(self, scope: InstrumentationScope) -> None:
        self.scope = scope
        self.factory: SpanFactory | None = None
        self.narrow = False

    resource: Resource
    limits: SpanLimits

    def bind(self, factory: SpanFactory | None) -> None:
        """Use another configuration for the next spans."""
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
    ) -> trace.Span:
        """Start a span, as the API specifies. Never raises."""
        parent = get_current_span(context)
        parent_context = parent.get_span_context()
        if not mark[0]:
            notice_fork()
        factory = self.factory
        if factory is None:
            return NonRecordingSpan(parent_context)
        if type(name) is not str:
            name = text_of(name)
        if type(kind) is not SpanKind:
            kind = SpanKind.INTERNAL
        upstream = parent_context if parent_context.is_valid else None
        if upstream is not None:
            trace_id, flags = upstream.trace_id, upstream.trace_flags & RANDOM_FLAG
        else:
            trace_id, flags = factory.new_trace_id(), factory.random_flag
        sanitized = sanitized_attributes(attributes)
        local, sampled, trace_state, added, is_root, caller = factory.decide(
            parent, context, trace_id, name, kind, sanitized
        )
        if caller is not None:
            return NonRecordingSpan(caller)
        span_context = SpanContext(
            trace_id, factory.new_span_id(), False, _FLAGS[flags | sampled], trace_state
        )
        if local is None:
            return NonRecordingSpan(span_context)
        timestamp = timestamp_of(start_time)
        started_at = local.now() if timestamp is None or is_now(timestamp) else timestamp
        span = Span(self, upstream, kind, started_at, span_context, local, name)
        for key, value in (sanitized if added is None else sanitized_attributes(added)).items():
            span._put(key, value)
        if links is not None and (type(links) is not tuple or links):
            for link in sanitized_links(links):
                span.add_link(link.context, link.attributes)
        if not (record_exception and set_status_on_exception):
            span._error_policy = (record_exception, set_status_on_exception)
        if is_root:
            local.root = span
        else:
            local.began(span)
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
    ) -> Iterator[trace.Span]:
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


class TracerRegistry:
    """All tracers of the process, by instrumentation scope.

    Modules get a tracer once and keep it. ``bind`` therefore gives existing tracers the new configuration.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._tracers: dict[InstrumentationScope, Tracer] = {}
        self._factory: SpanFactory | None = None

    def get(self, scope: InstrumentationScope) -> Tracer:
        """Return the tracer of an instrumentation scope."""
        with self._lock:
            tracer = self._tracers.get(scope)
            if tracer is None:
                tracer = self._tracers[scope] = Tracer(scope)
                tracer.bind(self._factory)
            return tracer

    def bind(self, factory: SpanFactory | None) -> None:
        """Set the configuration of all tracers; ``None`` to stop recording."""
        with self._lock:
            self._factory = factory
            for tracer in self._tracers.values():
                tracer.bind(factory)

    def after_fork(self) -> None:
        """Replace the lock, which another thread of the parent may have held, and bind the tracers again."""
        self._lock = Lock()
        self.bind(self._factory)
