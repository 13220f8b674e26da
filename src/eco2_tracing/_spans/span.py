"""The one span type of this library.

`Span` implements the API's `Span` and overrides the whole public read side of the SDK's `ReadableSpan`, so hooks,
processors and ``isinstance`` checks of other packages work. It relies on no private state of either. A name and
attributes that can be derived from a request are derived when they are first read, which for most unsampled requests
is never.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from eco2_tracing._guard import internal_failure
from eco2_tracing._spans.exceptions import exception_attributes, record_error
from eco2_tracing._spans.limits import append, truncate
from eco2_tracing._spans.read_side import ReadSide
from eco2_tracing._spans.sanitize import (
    PLAIN,
    Copier,
    is_now,
    key_of,
    moment,
    sanitized,
    sanitized_attributes,
    text_of,
)

if TYPE_CHECKING:
    from types import TracebackType


class Span(ReadSide, trace.Span):
    """A recording span."""

    _copier: Copier | None = None

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute; ignored once the span has ended."""
        if self._end_time is not None:
            return
        if type(value) not in PLAIN:
            value = sanitized(value, self._copies())
        self._put(key if type(key) is str else key_of(key), value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes; ignored once the span has ended."""
        if self._end_time is None:
            for key, value in sanitized_attributes(attributes, self._copies()).items():
                self._put(key, value)

    def _copies(self) -> Copier:
        """Return what copies the span's values, and counts them."""
        if self._copier is None:
            self._copier = Copier()
        return self._copier

    def _put(self, key: str, value: Any) -> None:
        """Set a sanitized attribute within the span's limits: the oldest gives way, as in the SDK."""
        limits = self._source.limits
        most, longest = limits.max_span_attributes, limits.max_span_attribute_length
        if not key or most == 0:
            self._dropped_attributes += 1
            return
        given = self._given
        if given is None:
            given = self._given = {}
        if longest is not None:
            value = truncate(value, longest)
        given.pop(key, None)
        if most is not None and len(given) >= most:
            given.pop(next(iter(given)), None)
            self._dropped_attributes += 1
        given[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Add an event, by default at the local trace's present time; ignored once the span has ended."""
        if self._end_time is not None:
            return
        timestamp = moment(timestamp)
        if timestamp is None:
            timestamp = self._eco2_local.now()
        limits = self._source.limits
        taken = BoundedAttributes(
            limits.max_event_attributes,
            sanitized_attributes(attributes, self._copies()),
            max_value_len=limits.max_attribute_length,
        )
        event = Event(text_of(name), taken, timestamp)
        self._events, dropped = append(self._events, event, limits.max_events)
        self._dropped_events += dropped

    def add_link(self, context: Any, attributes: Any = None) -> None:
        """Add a link; ignored once the span has ended, or if the context is not a `SpanContext`."""
        if self._end_time is not None or type(context) is not SpanContext:
            return
        if not context.is_valid and not attributes and not context.trace_state:
            return
        limits = self._source.limits
        taken = BoundedAttributes(
            limits.max_link_attributes,
            sanitized_attributes(attributes, self._copies()),
            max_value_len=limits.max_attribute_length,
        )
        self._links, dropped = append(self._links, Link(context, taken), limits.max_links)
        self._dropped_links += dropped

    def update_name(self, name: str) -> None:
        """Rename the span; ignored once it has ended."""
        if self._end_time is None:
            self._given_name = text_of(name)

    def set_status(self, status: Any, description: Any = None) -> None:
        """Set the status by the SDK's rules: OK is final and UNSET is ignored."""
        if issubclass(type(status), Status):
            status, description = status.status_code, status.description
        if (
            type(status) is not StatusCode
            or status is StatusCode.UNSET
            or self._end_time is not None
            or self._status.status_code is StatusCode.OK
        ):
            return
        if description is not None and type(description) is not str:
            description = key_of(description) or None
        self._status = Status(status, description)
        if status is StatusCode.ERROR:
            self._set_error()

    def _set_error(self) -> None:
        """Keep the local trace from an ERROR status on."""
        self._eco2_local.failed(self)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception as an event, bounded, whatever its ``__str__`` does."""
        if self._end_time is None:
            recorded = exception_attributes(exception, escaped=escaped)
            recorded.update(sanitized_attributes(attributes))
            self.add_event("exception", recorded, timestamp)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.is_recording():
            record_error(self, error, self._records_exceptions, self._sets_status_on_exception, escaped=True)
        self.end()

    # The end -----------------------------------------------------------------------------------

    def end(self, end_time: int | None = None) -> None:
        """End the span; its local trace decides whether it is exported."""
        if self._end_time is not None:
            return
        local = self._eco2_local
        end_time = moment(end_time)
        self._end_time = local.now() if end_time is None or is_now(end_time) else end_time
        try:
            self._ended(local)
        except Exception:  # noqa: BLE001 - processors are the application's
            internal_failure("ending a span")

    def _ended(self, local: Any) -> None:
        local.ended(self)

    def finalize(self, last: Mapping[str, Any]) -> None:
        """Derive everything that is still to be derived, and set the last attributes. For an ended span.

        Args:
            last: Attributes that override others of the same names.
        """
        given, own = self._given, self._derived()
        self._own = {**own, **given, **last} if given else {**own, **last}
        if self._given_name is None:
            self._final_name = self.name
        # Which attributes the application set must still be known to redaction.
        self._merged = given or self._merged
        self._given = None

    def stored(self) -> tuple[Any, ...]:
        """Return name, events, links and the attributes that exist already, without deriving anything."""
        return self._given_name or self._final_name or "", self._events, self._links, self._own, self._given

    def prune(self, pruned: Any) -> None:
        """Keep only what fits a size. For an ended span.

        Args:
            pruned: What is kept: `name`, `status`, `attributes`, `events`, `links` and the dropped counts.
        """
        self._given_name, self._status = pruned.name, pruned.status
        self._own, self._given, self._merged = pruned.attributes, None, pruned.attributes
        self._events, self._links = pruned.events, pruned.links
        self._dropped_attributes = pruned.dropped_attributes
        self._dropped_events, self._dropped_links = pruned.dropped_events, pruned.dropped_links

    def redact(self, masked: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> None:
        """Mask secrets in the attributes that were set; derived ones were masked where they were derived.

        Args:
            masked: Returns the masked attributes, or ``None`` when there is nothing to mask.
        """
        given = self._given or self._merged
        changed = masked(given) if given else None
        if given and changed is not None:
            own = self._derived()
            # A name may have contained a secret, so the unmasked names are removed.
            self._own = {**{key: own[key] for key in own if key not in given}, **changed}
            self._given = self._merged = None
