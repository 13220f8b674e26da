"""The provider's tracer: the SDK's, with a shorter way for spans that will most likely be forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import Tracer
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    get_current_span,
    use_span,
)
from opentelemetry.util._decorator import _agnosticcontextmanager

from eco2_tracing._forks import mark, notice_fork
from eco2_tracing._spans._accepted import moment, settled_attributes, settled_links, text_of
from eco2_tracing._spans._guarded import GuardedSpan, note
from eco2_tracing._spans._library import LibrarySpan
from eco2_tracing.propagation import inbound_of
from eco2_tracing.sampling._local_trace import UNDECIDED

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, SpanProcessor
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Span
    from opentelemetry.util.types import Attributes

    from eco2_tracing.sampling._rescue import Rescuer
    from eco2_tracing.sampling._sdk import RescueProcessor


class _Source:
    """What the lean spans of one tracer share, read from the tracer: a fork changes its resource."""

    __slots__ = ("_tracer",)

    bounds_derived = False

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @property
    def scope(self) -> InstrumentationScope:
        return self._tracer._instrumentation_scope

    @property
    def resource(self) -> Resource:
        return self._tracer.resource

    @property
    def limits(self) -> SpanLimits:
        return self._tracer._span_limits

    @property
    def processor(self) -> SpanProcessor:
        return self._tracer.span_processor


class LeanTracer(Tracer):
    """A tracer whose children of an undecided local trace cost a third of the SDK's record-only spans.

    What the sampler would say of them is known: they are recorded and not sampled. Everything else,
    local roots, sampled and dropped spans and those with links, goes the SDK's own way.
    """

    _lean: tuple[Rescuer, RescueProcessor, Any]

    @classmethod
    def of(cls, tracer: Tracer, rescuer: Rescuer, processor: RescueProcessor) -> None:
        """Make one of the SDK's tracers such a tracer, in place.

        Args:
            tracer: The provider's.
            rescuer: Knows which local traces are this process's.
            processor: Knows whether the application listens to beginnings.
        """
        # In this order: other threads may be about to start a span.
        tracer._lean = (rescuer, processor, _Source(tracer))  # type: ignore[attr-defined]
        tracer.__class__ = cls

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
        """Start a span, as the SDK's tracer does."""
        if type(name) is not str:
            name = text_of(name)
        if type(kind) is not SpanKind:
            kind = SpanKind.INTERNAL
        if start_time is not None:
            start_time = moment(start_time)
        if links is not None and type(links) is not tuple:
            links = settled_links(links)
        parent: Any = get_current_span(context)
        local = getattr(parent, "_eco2_local", None)
        if not mark[0]:
            notice_fork()
        rescuer, processor, source = self._lean
        if (
            local is None
            or local.state != UNDECIDED
            or local.keeper is not rescuer.keeper
            or processor.tell is not None
            or links
        ):
            # By its class: a shutdown on another thread makes this one of the SDK's tracers again at any moment.
            return LeanTracer._start_as_sdk(
                self,
                name,
                context,
                kind,
                attributes,
                links,
                start_time,
                record_exception,
                set_status_on_exception,
            )
        above: SpanContext = parent.get_span_context()
        own = SpanContext(
            above.trace_id, self.id_generator.generate_span_id(), False, above.trace_flags, above.trace_state
        )
        begun = local.now() if start_time is None else start_time
        span = LibrarySpan(source, own, above, local, name, kind, attributes, begun)
        if not (record_exception and set_status_on_exception):
            span._record_exception = record_exception
            span._set_status_on_exception = set_status_on_exception
        local.began(span)
        return span

    def _start_as_sdk(
        self, name: str, context: Any, kind: SpanKind, attributes: Any, links: Any, *more: Any
    ) -> Span:
        """Start a span of the SDK, which raises nothing later either."""
        links = settled_links(links) if links else ()
        span = Tracer.start_span(self, name, context, kind, settled_attributes(attributes), links, *more)
        if isinstance(span, SdkSpan):
            span.__class__ = GuardedSpan
            return span
        around = get_current() if context is None else context
        inbound = inbound_of(around)
        caller = get_current_span(around).get_span_context()
        if inbound is not None and inbound.denied and caller.is_remote:
            # An excluded request has no ids of its own: what it calls and logs keeps the caller's.
            return NonRecordingSpan(caller)
        return span

    @_agnosticcontextmanager
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
        """Start a span around a block, as the SDK's tracer does, whatever the text of an exception is."""
        span = self.start_span(
            name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception
        )
        with use_span(span, end_on_exit, record_exception=False, set_status_on_exception=False):
            try:
                yield span
            except Exception as error:
                if span.is_recording():
                    note(span, error, record_exception, set_status_on_exception)
                raise
