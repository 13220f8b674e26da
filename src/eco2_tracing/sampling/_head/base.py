"""What every head sampler of this library is: an SDK sampler that answers with one float."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes

NOT_CHOSEN = 0.0
"""The answer of :meth:`HeadSampler.sample` for a trace that is not kept."""

UNKNOWN = -1.0
"""The answer of :meth:`HeadSampler.sample` for a kept trace whose probability nobody knows."""

JaegerTags = tuple[str, bool | float]
"""The values of ``sampler.type`` and ``sampler.param``."""


class HeadSampler(Sampler):
    """A sampler that decides for a new trace, from its id and the span's name alone.

    Subclasses write :meth:`sample`; the SDK's own method follows from it.

    Attributes:
        needs_attributes: True when only :meth:`should_sample` with real attributes is fair to it.
        needs_name: True while the span's name decides, so that it must be known at the start.
    """

    needs_attributes: ClassVar[bool] = False
    needs_name: bool = False

    @abstractmethod
    def sample(self, trace_id: int, name: str) -> float:
        """Decide about one new trace; every call counts as one offered trace.

        Args:
            trace_id: The 128-bit trace id.
            name: The name of the first span.

        Returns:
            ``0.0`` when the trace is not chosen, else the probability that it was chosen
            with (over 0, up to 1), or :data:`UNKNOWN`, which is negative.
        """

    def decide(self, trace_id: int, name: str) -> bool:
        """Like :meth:`sample`, for those who need no probability."""
        return self.sample(trace_id, name) != NOT_CHOSEN

    @abstractmethod
    def probability(self, name: str) -> float | None:
        """The probability in force for this span name; ``None`` when unknown. Counts nothing."""

    def jaeger_tags(self, name: str = "") -> JaegerTags | None:
        """What Jaeger's SDKs put on a root span as ``sampler.type`` and ``sampler.param``.

        Args:
            name: The span name, for samplers that tell operations apart.

        Returns:
            The two values, or ``None`` when Jaeger has no word for this sampler.
        """
        return None

    def close(self) -> None:
        """Give back what the sampler holds, such as a thread. Safe to call twice."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide as the SDK asks; the parent's tracestate is preserved."""
        chosen = self.sample(trace_id, name) != NOT_CHOSEN
        decision = Decision.RECORD_AND_SAMPLE if chosen else Decision.DROP
        kept = attributes if chosen else None
        return SamplingResult(decision, kept, parent_trace_state(parent_context))


def parent_trace_state(context: Context | None) -> TraceState | None:
    """The tracestate of the span in a context; ``None`` where there is no valid one."""
    span_context = get_current_span(context).get_span_context()
    return span_context.trace_state if span_context.is_valid else None
