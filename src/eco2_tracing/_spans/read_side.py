"""The fields of a span, and the public properties of the SDK's `ReadableSpan` that return them."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from eco2_tracing._forks import in_child
from eco2_tracing._guard import attempt, internal_failure
from eco2_tracing._native import RLock
from eco2_tracing._readable_span import readable_span
from eco2_tracing._spans.limits import limit_attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._spans.interfaces import Attributes, Description, LocalTrace, Maker, SpanSource
    from eco2_tracing._spans.sanitize import Copier


UNSET = Status(StatusCode.UNSET)
_RECORD_AND_SET_STATUS = (True, True)
"""Default policy for an exception that leaves the span's block: record an event, and set the status."""
NONE_DROPPED = (0, 0, 0)
"""The numbers of dropped attributes, events and links of a new span."""

NO_ATTRIBUTES: Attributes = MappingProxyType({})


class _Lock:
    """Guards objects that are created on demand, so that all threads get the same object."""

    def __init__(self) -> None:
        self.lock = RLock()
        in_child(self.renew)

    def renew(self) -> None:
        """Replace the lock in a child process, because another thread of the parent may have held it."""
        self.lock = RLock()


creation = _Lock()


class ReadSide(ReadableSpan):
    """The readable part of a span.

    The base class's constructor is not called, and all of its methods that read private state are overridden.

    Args:
        source: The tracer.
        parent: The parent's context; ``None`` for a root, or if it is created on demand.
        kind: The span's kind.
        start_time: Nanoseconds since the epoch.
        context: The span's own context; ``None`` if it is created on demand.
        local: The local trace; ``None`` if it is begun on demand.
        name: The span's name; ``None`` if the description derives it.
        description: Derives the name and the attributes that are not set; ``None`` if there are none.
        maker: Creates the contexts and the local trace on demand.
    """

    __slots__ = (
        "_copier",
        "_derived",
        "_derived_name",
        "_description",
        "_dropped",
        "_end_time",
        "_error_policy",
        "_events",
        "_given",
        "_given_name",
        "_kind",
        "_links",
        "_local",
        "_maker",
        "_merged",
        "_own_context",
        "_parent",
        "_sealed",
        "_source",
        "_start_time",
        "_status",
    )

    def __init__(
        self,
        source: SpanSource,
        parent: SpanContext | None,
        kind: SpanKind,
        start_time: int,
        context: SpanContext | None = None,
        local: LocalTrace | None = None,
        name: str | None = None,
        description: Description | None = None,
        maker: Maker | None = None,
    ) -> None:
        self._source = source
        self._parent = parent
        self._kind = kind
        self._start_time = start_time
        self._own_context = context
        self._local = local
        self._given_name = name
        self._derived_name: str | None = None  # set when it is final
        self._description = description
        self._maker = maker
        self._copier: Copier | None = None  # limits the copied values of the span
        self._end_time: int | None = None
        self._sealed = False  # True after the end: setters are ignored
        self._status = UNSET
        self._error_policy = _RECORD_AND_SET_STATUS
        self._given: dict[str, AttributeValue] | None = None  # attributes set by the application
        self._derived: Attributes | None = None  # derived attributes, set when they are final
        self._merged: Attributes | None = None  # attributes of ``_derived`` that the application set
        self._events: Sequence[Event] = ()
        self._links: Sequence[Link] = ()
        self._dropped = NONE_DROPPED

    # Created on demand -------------------------------------------------------------------------

    @property
    def _context(self) -> SpanContext:
        context = self._own_context
        if context is None:
            with creation.lock:
                context = self._own_context
                if context is None:
                    context = self._own_context = self._maker.make_context()  # type: ignore[union-attr] # always set
        return context

    @_context.setter
    def _context(self, context: SpanContext) -> None:
        self._own_context = context

    @property
    def local_trace(self) -> LocalTrace:
        """The local trace that the span belongs to."""
        local = self._local
        if local is None:
            with creation.lock:
                local = self._local
                if local is None:
                    local = self._maker.begin_local_trace(self)  # type: ignore[union-attr] # always set
        return local

    @property
    def has_local_trace(self) -> bool:
        """True if the local trace has begun. It begins with the first event in the request."""
        return self._local is not None

    # Read side ---------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The span's name."""
        name = self._given_name or self._derived_name
        if name is not None:
            return name
        description = self._description
        if description is None:
            return ""
        return attempt("naming a span", description.describe_name, default="unknown")

    @property
    def attributes(self) -> Attributes:
        """The derived attributes, overridden by the attributes that the application set."""
        derived = self._derive()
        given = self._given
        return {**derived, **given} if given else derived

    def _derive(self) -> Attributes:
        derived = self._derived
        if derived is not None:
            return derived
        if self._description is None:
            return NO_ATTRIBUTES
        try:
            derived = self._description.describe_attributes()
        except Exception:  # noqa: BLE001 - the ASGI scope holds objects of the application
            internal_failure("collecting a span's attributes")
            derived = NO_ATTRIBUTES
        if self._source.narrow:
            derived = limit_attributes(derived, self._source.limits, len(self._given or ()))
        if self._sealed:
            self._derived = derived
        return derived

    @property
    def context(self) -> SpanContext:
        """The span's context."""
        return self._own_context or self._context

    def get_span_context(self) -> SpanContext:
        """Return the span's context. The sampled flag is set when the tail sampler keeps the trace."""
        return self._own_context or self._context

    @property
    def kind(self) -> SpanKind:
        """The span's kind."""
        return self._kind

    @property
    def parent(self) -> SpanContext | None:
        """The parent's context; ``None`` for a root."""
        parent = self._parent
        if parent is None and self._maker is not None:
            parent = self._parent = self._maker.make_parent()
        return parent

    @property
    def start_time(self) -> int | None:
        """Nanoseconds since the epoch."""
        return self._start_time

    @property
    def end_time(self) -> int | None:
        """Nanoseconds since the epoch; ``None`` until the span has ended."""
        return self._end_time

    @property
    def status(self) -> Status:
        """The span's status."""
        return self._status

    @property
    def events(self) -> Sequence[Event]:
        """The events, oldest first."""
        return tuple(self._events)

    @property
    def links(self) -> Sequence[Link]:
        """The links, oldest first."""
        return tuple(self._links)

    @property
    def dropped_attributes(self) -> int:
        """The number of attributes that the limits dropped."""
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        """The number of events that the limits dropped."""
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        """The number of links that the limits dropped."""
        return self._dropped[2]

    @property
    def resource(self) -> Resource:
        """The provider's resource."""
        return self._source.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """The instrumentation scope of the tracer that created the span."""
        return self._source.scope

    @property
    def instrumentation_info(self) -> InstrumentationScope:  # type: ignore[override] # the SDK's class is deprecated
        """The instrumentation scope, under the SDK's deprecated name."""
        return self._source.scope

    def snapshot(self) -> ReadableSpan:
        """Return an immutable copy for the application's processors, created by the SDK's public constructor."""
        return readable_span(self, self)

    def to_json(self, indent: int | None = 4) -> str:
        """Return the span as JSON, in the SDK's format."""
        text: str = self.snapshot().to_json(indent)
        return text

    def __repr__(self) -> str:
        return f"Span(name={self.name!r}, context={self._context!r})"

    def is_recording(self) -> bool:
        """Return True until the span has ended."""
        return not self._sealed
