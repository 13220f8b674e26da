"""The span type of this library for server, client, library and manual spans.

`Span` implements the API's `Span` and overrides all public properties of the SDK's `ReadableSpan`, so hooks,
processors and ``isinstance`` checks of other packages work. It uses no private state of either class.

Setters sanitize values: they copy them to built-in types of limited size. All later stages rely on that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from eco2_tracing._guard import internal_failure
from eco2_tracing._spans.database_errors import STATUS_CODE, status_code_of
from eco2_tracing._spans.exceptions import exception_attributes, record_error
from eco2_tracing._spans.read_side import ReadSide
from eco2_tracing._spans.sanitize import (
    PLAIN,
    Copier,
    append,
    attribute_name,
    is_now,
    sanitized_attributes,
    text_of,
    timestamp_of,
    truncate,
)

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.util.types import Attributes, AttributeValue


class Span(ReadSide, trace.Span):
    """A recording span. `ReadSide` defines its fields and its constructor."""

    __slots__ = ()

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute; ignored once the span has ended."""
        if self._sealed:
            return
        if type(value) not in PLAIN:
            value = self._copies().copy(value)
        self._put(key if type(key) is str else attribute_name(key), value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes; ignored once the span has ended."""
        if not self._sealed:
            for key, value in sanitized_attributes(attributes, self._copies).items():
                self._put(key, value)

    def _copies(self) -> Copier:
        """Return the span's copier, which limits the items of all values of the span."""
        copier = self._copier
        if copier is None:
            copier = self._copier = Copier()
        return copier

    def _put(self, key: str, value: AttributeValue) -> None:
        """Set a sanitized attribute. Beyond the limit, the oldest attribute is dropped, as in the SDK."""
        limits = self._source.limits
        most, longest = limits.max_span_attributes, limits.max_span_attribute_length
        if not key or most == 0:
            self.dropped_attributes += 1
            return
        given = self._given
        if given is None:
            given = self._given = {}
        if longest is not None:
            value = truncate(value, longest)
        given.pop(key, None)
        if most is not None and len(given) >= most:
            given.pop(next(iter(given)), None)
            self.dropped_attributes += 1
        given[key] = value

    def _bounded(self, attributes: Attributes, most: int | None) -> BoundedAttributes:
        return BoundedAttributes(
            most,
            sanitized_attributes(attributes, self._copies),
            max_value_len=self._source.limits.max_attribute_length,
        )

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event; ignored once the span has ended. The default time is that of the local trace's clock."""
        if self._sealed:
            return
        timestamp = timestamp_of(timestamp)
        if timestamp is None:
            timestamp = self.local_trace.now()
        limits = self._source.limits
        event = Event(text_of(name), self._bounded(attributes, limits.max_event_attributes), timestamp)
        self._events, dropped = append(self._events, event, limits.max_events)
        self.dropped_events += dropped

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link; ignored once the span has ended, or if the context is not a `SpanContext`."""
        if self._sealed or type(context) is not SpanContext:
            return
        if not context.is_valid and not attributes and not context.trace_state:
            return
        limits = self._source.limits
        link = Link(context, self._bounded(attributes, limits.max_link_attributes))
        self._links, dropped = append(self._links, link, limits.max_links)
        self.dropped_links += dropped

    def update_name(self, name: str) -> None:
        """Rename the span; ignored once it has ended."""
        if not self._sealed:
            self._given_name = text_of(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status by the SDK's rules: OK is final and UNSET is ignored."""
        code: object = status
        if issubclass(type(status), Status):
            code, description = status.status_code, status.description  # type: ignore[union-attr] # by its class
        if (
            type(code) is not StatusCode
            or code is StatusCode.UNSET
            or self._sealed
            or self.status.status_code is StatusCode.OK
        ):
            return
        if description is not None and type(description) is not str:
            description = attribute_name(description) or None
        self.status = Status(code, description)
        if code is StatusCode.ERROR and self._description is not None:
            # A failed request or call is known to be an error now, so later calls in the trace are sampled. For other
            # spans, the decision depends on the kind and the attributes at the end.
            self.local_trace.keep("error")

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception as an event of limited size. An error in its ``__str__`` is caught."""
        if not self._sealed:
            recorded = exception_attributes(exception, escaped=escaped)
            recorded.update(sanitized_attributes(attributes, self._copies))
            self.add_event("exception", recorded, timestamp)
            if self._given is not None and "db.system.name" in self._given:
                code = status_code_of(exception)
                if code is not None:
                    self._put(STATUS_CODE, code)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.is_recording():
            record_error(self, error, *self._error_policy, escaped=True)
        self.end()

    # The end -----------------------------------------------------------------------------------

    def end(self, end_time: int | None = None) -> None:
        """End the span, now or at a time. Its local trace decides whether it is exported.

        The span of a request or a call is an exception: the decision is made at the end of the request or call.
        """
        if self._sealed:
            return
        local = self.local_trace
        end_time = timestamp_of(end_time)
        self.seal(local.now() if end_time is None or is_now(end_time) else end_time)
        try:
            if local.root is not self:
                local.buffer.child_ended(local, self)
            elif self._description is None:
                local.root_ended(self)
        except Exception:  # noqa: BLE001 - the application's processors may raise
            internal_failure("ending a span")

    def seal(self, end_time: int) -> None:
        """Set the end time. Setters are ignored afterwards."""
        self.end_time = end_time
        self._sealed = True

    def edit(self, edit: Callable[[Span], bool | None]) -> bool:
        """Call a function that may edit an ended span; return False if it drops the span."""
        self._sealed = False
        try:
            return edit(self) is not False
        finally:
            self._sealed = True

    def finalize(self, last: Mapping[str, AttributeValue] = {}) -> None:
        """Derive the name and the attributes of an ended span, and set the last attributes, which override others.

        Afterwards the span holds no reference to the request or call that it describes.
        """
        given, derived = self._given, self._derive()
        description = self._description
        if description is not None and self._given_name is None:
            self._derived_name = self._describe_name(derived)
        self._derived = {**derived, **given, **last} if given else {**derived, **last}
        # Redaction masks only the attributes that the application set.
        self._merged = given or self._merged
        self._given = None
        if self._parent is None and self._maker is not None:
            self._parent = self._maker.make_parent()
        self._description = self._maker = None

    def stored(self) -> tuple[Any, ...]:
        """Return the name, events, links and attributes that are stored already, without deriving others."""
        return (
            self._given_name or self._derived_name or "",
            self._events,
            self._links,
            self._derived,
            self._given,
        )

    def prune(self, pruned: Any) -> None:
        """Replace the contents of an ended span by a pruned copy that fits a size limit."""
        self._given_name, self.status = pruned.name, pruned.status
        self._derived, self._given, self._merged = pruned.attributes, None, pruned.attributes
        self._description = None
        self._events, self._links = pruned.events, pruned.links
        self.dropped_attributes = pruned.dropped_attributes
        self.dropped_events, self.dropped_links = pruned.dropped_events, pruned.dropped_links
