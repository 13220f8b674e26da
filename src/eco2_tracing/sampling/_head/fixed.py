"""Samplers whose probability never changes: all, none, a ratio."""

from __future__ import annotations

from eco2_tracing.sampling._head.base import NOT_CHOSEN, HeadSampler, JaegerTags

LOW_64_BITS = (1 << 64) - 1
"""The part of a trace id that is compared: the SDK's ``TraceIdRatioBased`` uses the same."""


def bound(probability: float) -> int:
    """What the low 64 bits of a chosen trace id stay below; the SDK's own formula."""
    return round(probability * (1 << 64))


class AlwaysOn(HeadSampler):
    """Chooses every trace."""

    def sample(self, trace_id: int, name: str) -> float:
        """Answer 1.0."""
        return 1.0

    def probability(self, name: str) -> float:
        """Answer 1.0."""
        return 1.0

    def jaeger_tags(self, name: str = "") -> JaegerTags:
        """Jaeger calls this ``const``, ``true``."""
        return ("const", True)

    def get_description(self) -> str:
        """The name that the SDK gives its own."""
        return "AlwaysOnSampler"


class AlwaysOff(HeadSampler):
    """Chooses no trace."""

    def sample(self, trace_id: int, name: str) -> float:
        """Answer 0.0."""
        return NOT_CHOSEN

    def probability(self, name: str) -> float:
        """Answer 0.0."""
        return 0.0

    def jaeger_tags(self, name: str = "") -> JaegerTags:
        """Jaeger calls this ``const``, ``false``."""
        return ("const", False)

    def get_description(self) -> str:
        """The name that the SDK gives its own."""
        return "AlwaysOffSampler"


class TraceIdRatio(HeadSampler):
    """Chooses a fixed share of the traces, the same ones in every service.

    Agrees bit for bit with the SDK's ``TraceIdRatioBased``.

    Args:
        ratio: The share, from 0 to 1.

    Raises:
        ValueError: The ratio is no number from 0 to 1.
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
        """The ratio."""
        return self._ratio

    def jaeger_tags(self, name: str = "") -> JaegerTags:
        """Jaeger calls this ``probabilistic``."""
        return ("probabilistic", self._ratio)

    def get_description(self) -> str:
        """The name that the SDK gives its own, with the ratio."""
        return f"TraceIdRatioBased{{{self._ratio}}}"
