"""Which span of a measured request or call is the exemplar of its measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._spans.span import Span
from eco2_tracing.metrics._exemplars import spans
from eco2_tracing.sampling._tail.local_trace import HEAD, KEPT

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

_EXPORTED = (HEAD, KEPT)


def exported_span(span: Any) -> SpanContext | None:
    """Return the context of a request's or call's span if its trace is exported; ``None`` otherwise.

    Args:
        span: The span, ended or not; ``None`` if there is none.
    """
    if type(span) is Span:
        local = span._local
        # The ids of a request that nothing has kept are not created for the answer.
        if local is None or local.state not in _EXPORTED:
            return None
    elif span is None:
        return None
    context: SpanContext = span.get_span_context()
    return context if context.trace_flags & 1 and spans.are_exported else None
