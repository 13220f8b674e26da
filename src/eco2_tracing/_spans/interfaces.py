"""What a span needs of a tracer, and of the request or call that it describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.util.types import AttributeValue

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext

Attributes = Mapping[str, AttributeValue]
LocalTrace = Any
"""The tail sampler's local trace: spans and sampling do not import each other."""


class SpanSource(Protocol):
    """What all spans of one instrumentation scope share: the tracer that made them."""

    scope: InstrumentationScope
    resource: Resource
    limits: SpanLimits
    narrow: bool
    """True if attribute limits are stricter than what derived attributes keep to by themselves."""


class Description(Protocol):
    """What a span derives from a request or a call when something first reads it.

    For most unsampled requests nothing does.
    """

    def describe_attributes(self) -> dict[str, AttributeValue]:
        """Return the attributes that are known so far, sanitized and redacted."""

    def describe_name(self, attributes: Attributes | None = None) -> str:
        """Return the span's name.

        Args:
            attributes: The result of ``describe_attributes`` if it is there already.
        """


class Maker(Protocol):
    """Makes on demand what a span of a request may never need."""

    def make_parent(self) -> SpanContext | None:
        """Return the caller's context; ``None`` without valid ids."""

    def make_context(self) -> SpanContext:
        """Return the span's own context; called once."""

    def begin_local_trace(self, span: Any) -> LocalTrace:
        """Begin the local trace whose root is the span, and store it on the span; called once."""
