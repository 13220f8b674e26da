"""A span of the SDK that takes what an application hands over, whatever that does when it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanContext, Status, StatusCode

from eco2_tracing._guard import internal_failure
from eco2_tracing._spans._accepted import acceptable, items_of
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
        try:
            super().set_attribute(key, value)
        except Exception:  # noqa: BLE001 - values are the application's
            internal_failure("setting an attribute")

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes: those that can be had."""
        try:
            super().set_attributes(attributes)
        except Exception:  # noqa: BLE001 - values are the application's
            for key, value in items_of(attributes):
                self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Add an event, by its local trace's clock; ignored once the span has ended."""
        if timestamp is None and self._eco2_local is not None:
            timestamp = self._eco2_local.now()
        try:
            super().add_event(name, attributes, timestamp)
        except Exception:  # noqa: BLE001 - values and exceptions are the application's
            internal_failure("adding an event")
            super().add_event(name, acceptable(attributes), timestamp)

    def add_link(self, context: Any, attributes: Any = None) -> None:
        """Add a link; ignored once the span has ended, or where it is none."""
        if not isinstance(context, SpanContext):
            return
        try:
            super().add_link(context, attributes)
        except Exception:  # noqa: BLE001 - values and exceptions are the application's
            internal_failure("adding a link")
            super().add_link(context, acceptable(attributes))

    def set_status(self, status: Status | StatusCode, description: Any = None) -> None:
        """Set the status as the SDK does, without asking a description that is no plain text what it is."""
        if description is not None and type(description) is not str:
            description = str.__str__(description) if isinstance(description, str) else None
        super().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Record an exception as an event, whatever its ``__str__`` does and however long it is."""
        recorded = exception_attributes(exception, escaped=escaped)
        recorded.update(items_of(attributes))
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
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {message(error)}"))
