"""Samplers that other packages install, behind a guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from eco2_tracing._guard import internal_failure
from eco2_tracing.sampling._head.base import NOT_CHOSEN, UNKNOWN, HeadSampler, parent_trace_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, TraceState
    from opentelemetry.util.types import Attributes


class CustomSampler(HeadSampler):
    """Somebody else's sampler, asked with everything that the SDK would tell it.

    An exception of its own is logged once, and that trace is not chosen.

    Args:
        inner: The installed sampler.
    """

    needs_attributes: ClassVar[bool] = True

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def sample(self, trace_id: int, name: str) -> float:
        """Ask without a parent and without attributes; the probability stays unknown."""
        chosen = self.should_sample(None, trace_id, name).decision is Decision.RECORD_AND_SAMPLE
        return UNKNOWN if chosen else NOT_CHOSEN

    def probability(self, name: str) -> None:
        """Nobody knows."""
        return

    def close(self) -> None:
        """Close the installed sampler if it can be closed."""
        close = getattr(self._inner, "close", None)
        if callable(close):
            try:
                close()
            except Exception:  # noqa: BLE001 - code of another package, on the request path
                internal_failure("closing the installed sampler")

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
        """Pass the question on as it is."""
        try:
            return self._inner.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
        except Exception:  # noqa: BLE001 - code of another package, on the request path
            internal_failure("asking the installed sampler")
            return SamplingResult(Decision.DROP, None, parent_trace_state(parent_context))

    def get_description(self) -> str:
        """What the installed sampler says of itself."""
        try:
            return self._inner.get_description()
        except Exception:  # noqa: BLE001 - code of another package, on the request path
            internal_failure("describing the installed sampler")
            return type(self._inner).__name__
