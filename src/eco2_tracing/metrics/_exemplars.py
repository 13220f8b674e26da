"""Exemplars: the ids of exported traces beside measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import INVALID_SPAN, get_current_span

from eco2_tracing._guard import attempt_silently

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext


class ExportedSpans:
    """Whether this process exports spans.

    Attributes:
        are_exported: False if tracing is configured without an exporter, or disabled.
    """

    __slots__ = ("are_exported",)

    def __init__(self) -> None:
        self.are_exported = True


spans = ExportedSpans()


def exported_context(context: Context | None = None) -> SpanContext | None:
    """Return the context of the current span if its trace is exported; ``None`` otherwise.

    A span that no local trace has begun for is not exported. Its ids are not created for the answer.

    Args:
        context: The context with the span; the current one by default.
    """
    span = get_current_span(context)
    if span is INVALID_SPAN or not spans.are_exported or not getattr(span, "has_local_trace", True):
        return None
    found = span.get_span_context()
    return found if found.trace_flags & 1 and found.is_valid else None


def current_exemplar() -> dict[str, str] | None:
    """Return the ids of the current span for ``exemplar=`` of prometheus-client.

    Returns:
        ``{"trace_id": …, "span_id": …}``, or ``None`` where the trace is not exported. A failing request that was not
        sampled is kept at its end: until then it has no exemplar.

    Examples:
        >>> current_exemplar() is None  # outside of a trace
        True
    """
    found: SpanContext | None = attempt_silently(exported_context, default=None)
    if found is None:
        return None
    return {"trace_id": format(found.trace_id, "032x"), "span_id": format(found.span_id, "016x")}
