"""What becomes of a span that is kept: marked as sampled, told why, and emitted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from eco2_tracing._native import RLock
from eco2_tracing.sampling._head.tracestate import with_probability
from eco2_tracing.sampling._tail.local_trace import LocalTrace, sampled_context

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, TraceState

    from eco2_tracing.sampling._head.base import HeadSampler

REASON, PROBABILITY = "eco2.sampling.reason", "eco2.sampling.probability"


class KeptTraceExporter:
    """Sends the spans of kept local traces on. Never called under a lock, but for ``promote``.

    Args:
        head: The head sampler, for what Jaeger wants to know.
        emit: Gets every span that is exported, once.

    Attributes:
        kept: Local traces that were exported, by reason.
    """

    def __init__(self, head: HeadSampler, emit: Callable[[Any], None]) -> None:
        self._head = head
        self._emit = emit
        self._lock = RLock()
        self.kept: Counter[str] = Counter()

    def close(self) -> None:
        """Send nothing any more: in a child process, where all of it is the parent's."""
        self._emit = nowhere

    def promote(self, local: LocalTrace, spans: Iterable[Any]) -> None:
        """Mark spans as sampled, ended ones or those that may call somebody yet."""
        for span in spans:
            span._context = sampled_context(span._context, _trace_state(local, span._context))

    def send(self, local: LocalTrace, spans: Iterable[Any]) -> None:
        """Emit ended spans."""
        emit = self._emit
        for span in spans:
            if not span._context.trace_flags.sampled:
                self.promote(local, (span,))
            emit(span)

    def settle(self, local: LocalTrace, spans: Sequence[Any], *, chosen: bool) -> None:
        """Emit the local root and the last of what was held, with the probability that is final.

        Args:
            local: The local trace, whose root has ended.
            spans: What was held.
            chosen: Whether the head had chosen it.
        """
        root = local.root
        reason = local.reason
        if reason is not None:
            self.promote(local, (*spans, root))
        if spans:
            self.send(local, spans)
        last: dict[str, Any] = {REASON: reason or "head"}
        if local.probability > 0:
            last[PROBABILITY] = local.probability
        if chosen and local.true_root and local.decided_here:
            tags = self._head.jaeger_tags(local.name)
            if tags is not None:
                last["sampler.type"], last["sampler.param"] = tags
        root.finalize(last)
        with self._lock:
            self.kept[reason or "head"] += 1
        self._emit(root)
        local.root = None  # each refers to the other: let both go without the garbage collector


def nowhere(span: Any) -> None:
    """Take a span that is not ours to export."""


def _trace_state(local: LocalTrace, context: SpanContext) -> TraceState | None:
    return with_probability(context.trace_state, local.probability, local.trace_id)
