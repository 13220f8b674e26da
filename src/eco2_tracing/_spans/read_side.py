"""The fields of a span, and the public properties of the SDK's `ReadableSpan` that return them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from eco2_tracing._forks import renew_in_child
from eco2_tracing._guard import internal_failure
from eco2_tracing._native import RLock
from eco2_tracing._readable_span import readable_span
from eco2_tracing._spans.sanitize import limit_attributes

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, SpanLimits
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link

    from eco2_tracing._spans.sanitize import Copier


Attributes = Mapping[str, AttributeValue]
LocalTrace = Any
"""The tail sampler's local trace. The type is `Any`, because spans and sampling do not import each other."""

UNSET = Status(StatusCode.UNSET)
NO_ATTRIBUTES: Attributes = MappingProxyType({})


class SpanSource(Protocol):
    """The tracer's fields that all spans of one instrumentation scope share."""

    scope: InstrumentationScope
    resource: Resource
    limits: SpanLimits
    narrow: bool
    """True if the attribute limits must be checked for derived attributes too."""


class Description(Protocol):
    """Derives a span's name and attributes from a request or a call, on the first read: most are never read."""

    def describe_attributes(self) -> dict[str, AttributeValue]:
        """Return the attributes that are known so far, sanitized and redacted."""

    def describe_name(self, attributes: Attributes | None = None) -> str:
        """Return the span's name. ``attributes`` is the result of ``describe_attributes``, if it has been called."""


class Maker(Protocol):
    """Creates the parent context, the context and the local trace of a request's span on demand."""

    def make_parent(self) -> SpanContext | None:
        """Return the caller's span context; ``None`` if the headers have no valid ids."""

    def make_context(self) -> SpanContext:
        """Return the span's own context. The span calls it once."""

    def begin_local_trace(self, span: Any) -> LocalTrace:
        """Begin the local trace whose root is the span, and store it on the span. The span calls it once."""


class _Lock:
    """Guards objects that are created on demand, so that all threads get the same object."""

    def __init__(self) -> None:
        self.lock = RLock()
        renew_in_child(self)

    def after_fork(self) -> None:
        """Replace the lock in a child process, because another thread of the parent may have held it."""
        self.lock = RLock()


creation = _Lock()


@dataclass(slots=True, eq=False, repr=False)
class ReadSide(ReadableSpan):
    """The readable part of a span.

    The base class's constructor is not called, and all of its methods that read private state are overridden. Fields
    without an underscore replace properties of the base class, so that a read is not a call.
    """

    _source: SpanSource
    _parent: SpanContext | None  # `None` for a root, or if it is created on demand
    kind: SpanKind = field()
    start_time: int = field()
    _own_context: SpanContext | None = None  # `None` until it is created on demand
    _local: LocalTrace | None = None  # `None` until it is begun on demand
    _given_name: str | None = None
    _description: Description | None = None  # derives the name and the attributes that are not set
    _maker: Maker | None = None  # creates the contexts and the local trace on demand
    _derived_name: str | None = None  # set when it is final
    end_time: int | None = None
    _sealed: bool = False  # True after the end: setters are ignored
    status: Status = UNSET
    _given: dict[str, AttributeValue] | None = None  # attributes set by the application
    _derived: Attributes | None = None  # derived attributes, set when they are final
    _merged: Attributes | None = None  # attributes of ``_derived`` that the application set
    _events: Sequence[Event] = ()

    # Class attributes are the defaults of values that most spans never set: no slot, and no store at the start.
    _links = cast("Sequence[Link]", ())
    _copier = cast("Copier | None", None)  # limits the copied values of the span
    _error_policy = (True, True)  # for an exception that leaves the block: record it, and set the status
    dropped_attributes = dropped_events = dropped_links = 0

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
        return self._describe_name()

    def _describe_name(self, derived: Attributes | None = None) -> str:
        try:
            return self._description.describe_name(derived)  # type: ignore[union-attr] # the caller has checked it
        except Exception:  # noqa: BLE001 - a description reads objects of the application
            internal_failure("naming a span")
            return "unknown"

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
    def parent(self) -> SpanContext | None:
        """The parent's context; ``None`` for a root."""
        parent = self._parent
        if parent is None and self._maker is not None:
            parent = self._parent = self._maker.make_parent()
        return parent

    @property
    def events(self) -> Sequence[Event]:
        """The events, oldest first."""
        return tuple(self._events)

    @property
    def links(self) -> Sequence[Link]:
        """The links, oldest first."""
        return tuple(self._links)

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
