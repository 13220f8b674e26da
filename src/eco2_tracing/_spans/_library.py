"""The span of another library, or a manual one, in a local trace that may yet be forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes

from eco2_tracing._spans._accepted import key_of, settled, settled_attributes
from eco2_tracing._spans._guarded import GuardedSpan
from eco2_tracing._spans._lean import LeanSpan

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

    from eco2_tracing._spans._lean import SpanSource

_PLAIN = frozenset({str, int, float, bool})


class LibrarySpan(LeanSpan):
    """A span that takes its attributes as they come and checks them when somebody reads them.

    Most are never read: the trace ends well and is forgotten.

    Args:
        source: What all spans of the tracer share.
        context: The span's own context.
        parent: The current span's.
        local: The local trace.
        name: The span's name.
        kind: Its kind.
        attributes: What it begins with.
        start_time: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        source: SpanSource,
        context: SpanContext,
        parent: SpanContext,
        local: Any,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Any] | None,
        start_time: int,
    ) -> None:
        self._source = source
        self._context = context
        self._parent = parent
        self._eco2_local = local
        self._given_name = name
        self._kind = kind
        self._start_time = start_time
        # Values may change, or fight back: those of a plain dictionary are read when somebody reads them.
        self._raw: dict[str, Any] = (
            attributes.copy() if type(attributes) is dict else settled_attributes(attributes)
        )

    def _derive_name(self) -> str:
        return ""  # pragma: no cover - it has one from the beginning

    def _derive_attributes(self) -> Mapping[str, Any]:
        limits = self._source.limits
        count, length = limits.max_span_attributes, limits.max_span_attribute_length
        return BoundedAttributes(count, settled_attributes(self._raw), immutable=False, max_value_len=length)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute; ignored once the span has ended."""
        if self._end_time is not None:
            return
        kind = type(value)
        if kind is list:
            value = tuple(value)
        elif kind not in _PLAIN:
            # What it holds may change, or fight back: it is read now.
            value = settled(value)
        self._raw[key if type(key) is str else key_of(key)] = value

    def set_status(self, status: Status | StatusCode, description: Any = None) -> None:
        """Set the status as the SDK does; whether it is a failure is seen at the end, by the kind."""
        GuardedSpan.set_status(self, status, description)

    def redact(self, masked: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> None:
        """Mask secrets among all attributes: nothing of this span is derived.

        Args:
            masked: Returns the masked attributes, or ``None`` when there is nothing to mask.
        """
        changed = masked(self._attributes)
        if changed is not None:
            self._attributes = changed
