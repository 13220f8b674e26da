"""Samplers that other packages install."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from eco2_tracing._guard import attempt, guarded
from eco2_tracing.sampling._head.base import NOT_CHOSEN, UNKNOWN, HeadSampler, parent_trace_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes


class CustomSampler(HeadSampler):
    """Wraps an SDK sampler of another package and passes it all arguments.

    An exception of that sampler is logged once; the trace is then not sampled.

    Args:
        inner: The installed sampler.
    """

    needs_attributes: ClassVar[bool] = True

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def sample(self, trace_id: int, name: str) -> float:
        """Decide without a parent and attributes; the probability is unknown."""
        chosen = self.should_sample(None, trace_id, name).decision is Decision.RECORD_AND_SAMPLE
        return UNKNOWN if chosen else NOT_CHOSEN

    def probability(self, name: str) -> None:
        """Return ``None``: the probability is unknown."""
        return

    def close(self) -> None:
        """Close the installed sampler if it has a method ``close``."""
        with guarded("closing the installed sampler"):
            close = getattr(self._inner, "close", None)
            if callable(close):
                close()

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
        """Return the result of the installed sampler."""
        with guarded("asking the installed sampler"):
            return self._inner.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
        return SamplingResult(Decision.DROP, None, parent_trace_state(parent_context))

    def get_description(self) -> str:
        """Return the installed sampler's description."""
        return attempt(
            "describing the installed sampler",
            self._inner.get_description,
            default=type(self._inner).__name__,
        )
