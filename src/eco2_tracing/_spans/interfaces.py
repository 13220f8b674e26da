"""Protocols of the objects that a span reads: its tracer, and the request or call that it describes."""

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
"""The tail sampler's local trace. The type is `Any`, because spans and sampling do not import each other."""


class SpanSource(Protocol):
    """The tracer's fields that all spans of one instrumentation scope share."""

    scope: InstrumentationScope
    resource: Resource
    limits: SpanLimits
    narrow: bool
    """True if the attribute limits must be checked for derived attributes too."""


class Description(Protocol):
    """Derives a span's name and attributes from a request or a call, on the first read.

    Most spans of unsampled requests are never read.
    """

    def describe_attributes(self) -> dict[str, AttributeValue]:
        """Return the attributes that are known so far, sanitized and redacted."""

    def describe_name(self, attributes: Attributes | None = None) -> str:
        """Return the span's name.

        Args:
            attributes: The result of ``describe_attributes``, if it has been called already.
        """


class Maker(Protocol):
    """Creates the parent context, the context and the local trace of a request's span on demand."""

    def make_parent(self) -> SpanContext | None:
        """Return the caller's span context; ``None`` if the headers have no valid ids."""

    def make_context(self) -> SpanContext:
        """Return the span's own context. The span calls it once."""

    def begin_local_trace(self, span: Any) -> LocalTrace:
        """Begin the local trace whose root is the span, and store it on the span. The span calls it once."""
