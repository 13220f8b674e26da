"""A span of the SDK that takes what an application hands over, whatever that does when it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanContext, Status, StatusCode

from eco2_tracing._spans._accepted import PLAIN, key_of, moment, name_of, settled, settled_attributes, text_of
from eco2_tracing._spans._exceptions import exception_attributes, message

if TYPE_CHECKING:
    from types import TracebackType


class GuardedSpan(Span):
    """The SDK's span, but nothing that is set on it raises into the application.

    A value's ``__str__``, ``__len__`` or ``__iter__`` may raise, and so may an exception's: what can be had without
    is recorded, and the application goes on.
    """

    _eco2_local: Any = None

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute."""
        plain = value if type(value) in PLAIN else settled(value)
        super().set_attribute(key if type(key) is str else key_of(key), plain)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes: those that can be had."""
        super().set_attributes(settled_attributes(attributes))

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Add an event, by its local trace's clock; ignored once the span has ended."""
        timestamp = moment(timestamp)
        if timestamp is None and self._eco2_local is not None:
            timestamp = self._eco2_local.now()
        super().add_event(text_of(name), settled_attributes(attributes), timestamp)

    def add_link(self, context: Any, attributes: Any = None) -> None:
        """Add a link; ignored once the span has ended, or where it is none."""
        if type(context) is SpanContext:
            super().add_link(context, settled_attributes(attributes))

    def update_name(self, name: str) -> None:
        """Name the span anew; ignored once it has ended."""
        super().update_name(text_of(name))

    def set_status(self, status: Any, description: Any = None) -> None:
        """Set the status as the SDK does, without asking a description that is no text what it is."""
        if issubclass(type(status), Status):
            status, description = status.status_code, status.description
        if type(status) is StatusCode:
            if description is not None and type(description) is not str:
                description = key_of(description) or None
            super().set_status(status, description)

    def end(self, end_time: int | None = None) -> None:
        """End the span."""
        super().end(moment(end_time))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception as an event, whatever its ``__str__`` does and however long it is."""
        recorded = exception_attributes(exception, escaped=escaped)
        recorded.update(settled_attributes(attributes))
        self.add_event("exception", recorded, timestamp)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.is_recording():
            note(self, error, self._record_exception, self._set_status_on_exception, escaped=True)
        self.end()


def note(span: Any, error: BaseException, event: bool, status: bool, *, escaped: bool = False) -> None:
    """Say on a span what ended it, in the SDK's words.

    Args:
        span: Any of ours.
        error: What was raised.
        event: Whether to record it.
        status: Whether to set the status.
        escaped: Whether the event says that it left the span.
    """
    if event:
        span.record_exception(error, escaped=escaped)
    if status:
        span.set_status(Status(StatusCode.ERROR, f"{name_of(type(error))}: {message(error)}"))
