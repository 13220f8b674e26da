"""The export of kept local traces: spans get the sampled flag and their sampling probability, then they are emitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanContext, TraceFlags

from eco2_tracing._native import RLock
from eco2_tracing.sampling._head.tracestate import with_probability

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing.sampling._head.base import HeadSampler
    from eco2_tracing.sampling._tail.local_trace import Emit, LocalSpan, LocalTrace

REASON, PROBABILITY = "eco2.sampling.reason", "eco2.sampling.probability"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class KeptTraceExporter:
    """Emits the spans of kept local traces. Only `promote` may be called under the buffer's lock.

    Args:
        head: The head sampler, for the tags that Jaeger expects.
        emit: Exports one span.

    Attributes:
        kept: The number of exported local traces, by reason.
    """

    def __init__(self, head: HeadSampler, emit: Emit) -> None:
        self._head = head
        self._emit = emit
        self._lock = RLock()
        self.kept: Counter[str] = Counter()

    def close(self) -> None:
        """Emit nothing more: in a child process every span belongs to the parent."""
        self._emit = _drop

    def promote(self, local: LocalTrace, spans: Iterable[LocalSpan]) -> None:
        """Set the sampled flag and the tracestate of spans that have ended or that may still call other services."""
        for span in spans:
            context = span._context
            flags = context.trace_flags
            span._context = SpanContext(
                context.trace_id,
                context.span_id,
                context.is_remote,
                TraceFlags(flags | TraceFlags.SAMPLED) if flags else _SAMPLED,
                with_probability(context.trace_state, local.probability, local.trace_id),
            )

    def send(self, local: LocalTrace, spans: Iterable[LocalSpan]) -> None:
        """Emit ended spans."""
        emit = self._emit
        for span in spans:
            if not span._context.trace_flags.sampled:
                self.promote(local, (span,))
            emit(span)

    def export_root(self, local: LocalTrace, spans: Sequence[LocalSpan], *, by_head: bool) -> None:
        """Emit the local root and the spans that are still buffered, with the final sampling probability.

        Args:
            local: The local trace, whose root has ended.
            spans: The buffered spans.
            by_head: True if the head sampled the local trace.
        """
        root = local.root
        reason = local.reason
        if reason is not None:
            self.promote(local, (*spans, root))
        if spans:
            self.send(local, spans)
        last: dict[str, AttributeValue] = {REASON: reason or "head"}
        if local.probability > 0:
            last[PROBABILITY] = local.probability
        if by_head and local.true_root and local.decided_here:
            tags = self._head.jaeger_tags(local.name)
            if tags is not None:
                last["sampler.type"], last["sampler.param"] = tags
        root.finalize(last)
        with self._lock:
            self.kept[reason or "head"] += 1
        self._emit(root)
        local.root = None  # root and local trace refer to each other: no garbage collection is needed then


def _drop(_span: LocalSpan) -> None:
    """Export nothing."""
