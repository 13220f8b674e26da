"""The fields of a span, and the whole public read side of the SDK's `ReadableSpan` over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from eco2_tracing._guard import internal_failure
from eco2_tracing._readable_span import readable_span
from eco2_tracing._spans.limits import within

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

_UNSET = Status(StatusCode.UNSET)
NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})


class SpanSource(Protocol):
    """What all spans of one instrumentation scope share: the tracer that made them."""

    scope: InstrumentationScope
    resource: Resource
    limits: SpanLimits
    narrow: bool
    """True if attribute limits are stricter than what derived attributes keep to by themselves."""


class ReadSide(ReadableSpan):
    """What can be read of a span.

    The base class's constructor is not called, and none of its methods that read private state is used. Fields have
    class-level defaults until a span differs from them.
    """

    _kind = SpanKind.INTERNAL
    _parent: SpanContext | None = None
    _start_time: int
    _end_time: int | None = None
    _status = _UNSET
    _events: Sequence[Event] = ()
    _links: Sequence[Link] = ()
    _dropped_attributes = 0
    _dropped_events = 0
    _dropped_links = 0
    all_given = False
    """True if no attribute is derived, so that all of them are redacted."""
    _records_exceptions = True
    _sets_status_on_exception = True
    # Derived attributes, once they are final.
    _own: Mapping[str, Any] | None = None
    # Attributes set by the application, and the same after they were merged into ``_own``.
    _given: dict[str, Any] | None = None
    _merged: dict[str, Any] | None = None
    _given_name: str | None = None
    # The derived name, once it is final.
    _final_name: str | None = None

    _context: Any
    _source: SpanSource
    _eco2_local: Any = None

    # Derived by subclasses ---------------------------------------------------------------------

    def _derive_name(self) -> str:
        return ""

    def _derive_attributes(self) -> Mapping[str, Any]:
        return NO_ATTRIBUTES

    # Read side ---------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The span's name."""
        name = self._given_name or self._final_name
        if name is not None:
            return name
        try:
            return self._derive_name()
        except Exception:  # noqa: BLE001 - a scope's values are the application's
            internal_failure("naming a span")
            return "unknown"

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The derived attributes, overridden by those that were set."""
        own = self._derived()
        given = self._given
        return {**own, **given} if given else own

    def _derived(self) -> Mapping[str, Any]:
        own = self._own
        if own is None:
            try:
                own = self._derive_attributes()
            except Exception:  # noqa: BLE001 - a scope's values are the application's
                internal_failure("collecting a span's attributes")
                own = {}
            if self._source.narrow:
                own = within(own, self._source.limits, len(self._given or ()))
            if self._end_time is not None:
                self._own = own
        return own

    @property
    def context(self) -> SpanContext:
        """The span's context."""
        return self._context  # type: ignore[no-any-return]

    def get_span_context(self) -> SpanContext:
        """Return the span's context; its sampled flag is set when the trace is kept later."""
        return self._context  # type: ignore[no-any-return]

    @property
    def kind(self) -> SpanKind:
        """The span's kind."""
        return self._kind

    @property
    def parent(self) -> SpanContext | None:
        """The parent's context; ``None`` for a root."""
        return self._parent

    @property
    def start_time(self) -> int:
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
        """Attributes that were dropped by the limits."""
        return self._dropped_attributes

    @property
    def dropped_events(self) -> int:
        """Events that were dropped by the limits."""
        return self._dropped_events

    @property
    def dropped_links(self) -> int:
        """Links that were dropped by the limits."""
        return self._dropped_links

    @property
    def resource(self) -> Resource:
        """The provider's resource."""
        return self._source.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """The scope of the tracer that made the span."""
        return self._source.scope

    @property
    def instrumentation_info(self) -> Any:
        """The scope under the SDK's deprecated name."""
        return self._source.scope

    def snapshot(self) -> ReadableSpan:
        """Return an immutable copy made by the SDK's public constructor, for processors and exporters of others."""
        return readable_span(self, self)

    def to_json(self, indent: int | None = 4) -> str:
        """Return the span as JSON, in the SDK's form."""
        text: str = self.snapshot().to_json(indent)
        return text

    def __repr__(self) -> str:
        return f"Span(name={self.name!r}, context={self._context!r})"

    def is_recording(self) -> bool:
        """Return True until the span has ended."""
        return self._end_time is None
