"""A span that costs next to nothing until its outcome is known to matter.

``LeanSpan`` is a ``ReadableSpan`` and a ``Span`` of the SDK like any other: hooks, processors and
``isinstance`` checks work. It differs in when its work is done: a name and attributes that can be
derived from the request are derived when somebody reads them, which for most requests is never.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Status, StatusCode

from eco2_tracing._forks import in_child
from eco2_tracing._guard import internal_failure
from eco2_tracing._native import RLock
from eco2_tracing._spans._accepted import PLAIN, key_of, moment, settled, settled_attributes, within
from eco2_tracing._spans._guarded import GuardedSpan

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext

_UNSET = Status(StatusCode.UNSET)
_USUAL_COUNT = 128


class SpanSource:
    """What all lean spans of one instrumentation share.

    Args:
        scope: The instrumentation scope that the spans carry.
        resource: The provider's resource.
        limits: The provider's span limits.
        processor: The provider's processors; ended spans go there by way of their local trace.
    """

    __slots__ = ("bounds_derived", "limits", "processor", "resource", "scope")

    def __init__(
        self, scope: InstrumentationScope, resource: Resource, limits: SpanLimits, processor: SpanProcessor
    ) -> None:
        self.scope = scope
        self.resource = resource
        self.limits = limits
        self.processor = processor
        count = limits.max_span_attributes
        # What is derived keeps to the usual limits by itself: only narrower ones cost anything.
        self.bounds_derived = limits.max_span_attribute_length is not None or (
            count is not None and count < _USUAL_COUNT
        )


class LeanSpan(GuardedSpan):
    """The base of the server and client spans; a subclass derives name and attributes.

    The SDK's constructor is not called: it costs several times what an unsampled request may.
    Everything that it would set is a class attribute here until it differs.
    """

    def __new__(cls, *_args: Any) -> Self:
        """Make one without the SDK's check, which only forbids its base class."""
        return object.__new__(cls)

    _instrumentation_info = None
    _sampler = None
    _trace_config = None
    _record_exception = True
    _set_status_on_exception = True
    _record_end_metrics = None
    _end_time: int | None = None
    _status = _UNSET
    _events: Any = ()
    _links: Any = ()
    _own: Mapping[str, Any] | None = None
    _given: BoundedAttributes | None = None
    _merged: BoundedAttributes | None = None
    _given_name: str | None = None
    # One lock for all: what it guards takes nanoseconds, and a lock a span would cost more than it saves.
    # Re-entrant, for a signal's handler or the garbage collector may touch a span in the middle of it.
    _lock: Any = RLock()

    _eco2_local: Any = None

    # What a subclass sets in its constructor, beside the context, parent, kind and start of the SDK's spans.
    _source: SpanSource

    # What a subclass derives -----------------------------------------------------------------

    @abstractmethod
    def _derive_name(self) -> str: ...

    @abstractmethod
    def _derive_attributes(self) -> Mapping[str, Any]: ...

    # What a reader sees ----------------------------------------------------------------------

    @property
    def _name(self) -> str:
        given = self._given_name
        if given is not None:
            return given
        try:
            return self._derive_name()
        except Exception:  # noqa: BLE001 - values and exceptions are the application's
            internal_failure("naming a span")
            return "unknown"

    @_name.setter
    def _name(self, value: str) -> None:
        self._given_name = value

    @property
    def name(self) -> str:
        """The span's name."""
        return self._name

    @property
    def _attributes(self) -> Mapping[str, Any]:
        own = self._derived()
        given = self._given
        return {**own, **given} if given else own

    @_attributes.setter
    def _attributes(self, value: Mapping[str, Any]) -> None:
        # The last thing before a span goes out: what is still to be derived is derived from the request.
        self._given_name = self._name
        self._own = value
        # What the application set is in there: which part that is, redaction has still to know.
        self._merged = self._given or self._merged
        self._given = None

    def tell(self, said: Mapping[str, Any]) -> None:
        """Take the last attributes, after the end, and derive all that is still to be derived.

        Args:
            said: Attributes that win over others of their names.
        """
        own = self._derived()
        given = self._given
        if given or type(own) is not dict:
            self._attributes = {**own, **(given or {}), **said}
        else:
            own.update(said)
            self._own = own
            self._given_name = self._name

    def _derived(self) -> Mapping[str, Any]:
        own = self._own
        if own is None:
            try:
                own = self._derive_attributes()
            except Exception:  # noqa: BLE001 - values and exceptions are the application's
                internal_failure("collecting a span's attributes")
                own = {}
            if self._source.bounds_derived:
                own = within(own, self._source.limits, len(self._given or ()))
            if self._end_time is not None:
                self._own = own
        return own

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes: derived ones, and over them those that were set."""
        return self._attributes

    @property
    def _resource(self) -> Resource:  # type: ignore[override] # shared, not the span's own
        return self._source.resource

    @property
    def resource(self) -> Resource:
        """The provider's resource."""
        return self._source.resource

    @property
    def _instrumentation_scope(self) -> InstrumentationScope:  # type: ignore[override] # shared, not the span's own
        return self._source.scope

    @property
    def _limits(self) -> SpanLimits:
        return self._source.limits

    @property
    def _span_processor(self) -> SpanProcessor:  # type: ignore[override] # shared, not the span's own
        return self._source.processor

    def get_span_context(self) -> SpanContext:
        """The span's context; its sampled flag appears when the trace is kept after all."""
        return self._context  # type: ignore[return-value] # a span always has one

    def is_recording(self) -> bool:
        """Whether the span has not ended."""
        return self._end_time is None

    def _readable_span(self) -> ReadableSpan:
        return self

    def redact(self, masked: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> None:
        """Mask what the application set; what is derived was masked where it was derived.

        Args:
            masked: Returns the masked attributes, or ``None`` when there is nothing to mask.
        """
        given = self._given or self._merged
        if given:
            changed = masked(given)
            if changed is not None:
                own = self._derived()
                # A name may have held a secret, too: what stood under it before goes.
                self._own = {**{key: own[key] for key in own if key not in given}, **changed}
                self._given = self._merged = None

    # What the application sets ---------------------------------------------------------------

    def _settable(self) -> BoundedAttributes:
        given = self._given
        if given is None:
            limits = self._source.limits
            given = self._given = BoundedAttributes(
                limits.max_span_attributes,
                None,
                immutable=False,
                max_value_len=limits.max_span_attribute_length,
            )
        return given

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute; ignored once the span has ended."""
        if self._end_time is None:
            plain = value if type(value) in PLAIN else settled(value)
            self._settable()[key if type(key) is str else key_of(key)] = plain

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes; ignored once the span has ended."""
        for key, value in settled_attributes(attributes).items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Add an event; ignored once the span has ended."""
        if not self._events:
            self._events = BoundedList(self._source.limits.max_events)
        super().add_event(name, attributes, timestamp)

    def add_link(self, context: Any, attributes: Any = None) -> None:
        """Add a link; ignored once the span has ended, or where it is none."""
        if not self._links:
            self._links = BoundedList(self._source.limits.max_links)
        super().add_link(context, attributes)

    def set_status(self, status: Status | StatusCode, description: Any = None) -> None:
        """Set the status as the SDK does; an error makes the local trace be kept."""
        super().set_status(status, description)
        local = self._eco2_local
        if local is not None and self._status.status_code is StatusCode.ERROR:
            local.failed(self)

    def end(self, end_time: int | None = None) -> None:
        """End the span; its local trace decides what becomes of it."""
        if self._end_time is not None:
            return
        local = self._eco2_local
        end_time = moment(end_time)
        self._end_time = end_time if end_time is not None else local.now()
        try:
            local.lean_ended(self)
        except Exception:  # noqa: BLE001 - values and exceptions are the application's
            internal_failure("ending a span")


def _new_lock() -> None:
    LeanSpan._lock = RLock()


in_child(_new_lock)
