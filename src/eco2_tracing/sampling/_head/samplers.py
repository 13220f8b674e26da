"""Head samplers: SDK samplers that return a probability."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span

from eco2_tracing._guard import attempt, guarded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes


NOT_CHOSEN = 0.0
"""Returned by :meth:`HeadSampler.sample` for a trace that is not sampled."""

UNKNOWN = -1.0
"""Returned by :meth:`HeadSampler.sample` for a sampled trace whose probability is unknown."""

JaegerTags = tuple[str, bool | float]
"""The values of ``sampler.type`` and ``sampler.param``."""

LOW_64_BITS = (1 << 64) - 1
"""The part of a trace id that is compared, as in the SDK's ``TraceIdRatioBased``."""


class HeadSampler(Sampler):
    """A sampler that decides about a new trace by its id and the name of its first span.

    Subclasses implement `sample`, which the SDK's `should_sample` calls.

    Attributes:
        needs_attributes: True if the sampler must be called by `should_sample` with the span's attributes.
        needs_name: True while the decision depends on the span's name, so that it must be known at the start.
    """

    needs_attributes: ClassVar[bool] = False
    needs_name: bool = False

    @abstractmethod
    def sample(self, trace_id: int, name: str) -> float:
        """Decide about one new trace. Each call counts as one offered trace.

        Args:
            trace_id: The 128-bit trace id.
            name: The name of the first span.

        Returns:
            `NOT_CHOSEN` (0) if the trace is not sampled. Otherwise the probability of that decision, over 0 and up to
            1, or `UNKNOWN` (-1).
        """

    def decide(self, trace_id: int, name: str) -> bool:
        """Return True if `sample` samples a new trace."""
        return self.sample(trace_id, name) != NOT_CHOSEN

    @abstractmethod
    def probability(self, name: str) -> float | None:
        """Return the current probability for a span name; ``None`` if unknown. Counts no trace."""

    def jaeger_tags(self, name: str = "") -> JaegerTags | None:
        """Return the values that Jaeger's SDKs set on a root span as ``sampler.type`` and ``sampler.param``.

        Args:
            name: The span name, for samplers that decide by it.

        Returns:
            The two values; ``None`` if Jaeger has no type for this sampler.
        """
        return None

    def close(self) -> None:
        """Release the sampler's resources, such as a thread. Safe to call twice."""

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
        """Decide as an SDK sampler. The parent's tracestate is preserved."""
        chosen = self.sample(trace_id, name) != NOT_CHOSEN
        decision = Decision.RECORD_AND_SAMPLE if chosen else Decision.DROP
        kept = attributes if chosen else None
        return SamplingResult(decision, kept, parent_trace_state(parent_context))


class BuiltSampler(NamedTuple):
    """A head sampler and its description; `build_sampler` makes it.

    Attributes:
        root: Decides about traces without a caller's decision.
        parent_based: True if the caller's decision is followed.
        name: The name in use, as in ``OTEL_TRACES_SAMPLER``.
        description: The sampler in words: what applies to which requests.
        problems: What is wrong with the settings and which value is used, a sentence each.
        advice: Settings that are valid but probably not intended, a sentence each.
    """

    root: HeadSampler
    parent_based: bool
    name: str
    description: str
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def needs_attributes(self) -> bool:
        """True if the root decides by `should_sample`, with the span's attributes."""
        return self.root.needs_attributes

    def close(self) -> None:
        """Stop the sampler's thread, if it has one. Safe to call twice."""
        self.root.close()


def parent_trace_state(context: Context | None) -> TraceState | None:
    """Return the tracestate of the span in a context; ``None`` without a valid span context."""
    span_context = get_current_span(context).get_span_context()
    return span_context.trace_state if span_context.is_valid else None


def bound(probability: float) -> int:
    """Return the exclusive upper bound of the low 64 bits of sampled trace ids, by the SDK's formula."""
    return round(probability * (1 << 64))


class _Constant(HeadSampler):
    _chosen: ClassVar[bool]

    def sample(self, trace_id: int, name: str) -> float:
        """Return the constant probability."""
        return float(self._chosen)

    def probability(self, name: str) -> float:
        """Return the constant probability."""
        return float(self._chosen)

    def jaeger_tags(self, name: str = "") -> JaegerTags:
        """Return Jaeger's ``const`` with a flag."""
        return ("const", self._chosen)

    def get_description(self) -> str:
        """Return the name of the SDK's sampler."""
        return f"{type(self).__name__}Sampler"


class AlwaysOn(_Constant):
    """Samples every trace."""

    _chosen = True


class AlwaysOff(_Constant):
    """Samples no trace."""

    _chosen = False


class TraceIdRatio(HeadSampler):
    """Samples a fixed share of the traces, the same ones in every service.

    Decides about each trace id as the SDK's ``TraceIdRatioBased`` does.

    Args:
        ratio: The share, from 0 to 1.

    Raises:
        ValueError: The ratio is no number from 0 to 1.

    Examples:
        >>> sampler = TraceIdRatio(0.01)
        >>> sampler.sample(trace_id=1, name="GET /")
        0.01
    """

    def __init__(self, ratio: float) -> None:
        if not 0.0 <= ratio <= 1.0:
            raise ValueError(f"a sampling ratio goes from 0 to 1, not {ratio!r}")
        self._ratio = ratio
        self._bound = bound(ratio)

    def sample(self, trace_id: int, name: str) -> float:
        """Compare the low 64 bits of the trace id with the ratio."""
        return self._ratio if (trace_id & LOW_64_BITS) < self._bound else NOT_CHOSEN

    def probability(self, name: str) -> float:
        """Return the ratio."""
        return self._ratio

    def jaeger_tags(self, name: str = "") -> JaegerTags:
        """Return Jaeger's ``probabilistic`` with the ratio."""
        return ("probabilistic", self._ratio)

    def get_description(self) -> str:
        """Return the name of the SDK's sampler, with the ratio."""
        return f"TraceIdRatioBased{{{self._ratio}}}"


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
