"""Samplers with a constant probability: all traces, none, a ratio."""

from __future__ import annotations

from typing import ClassVar

from eco2_tracing.sampling._head.base import NOT_CHOSEN, HeadSampler, JaegerTags

LOW_64_BITS = (1 << 64) - 1
"""The part of a trace id that is compared, as in the SDK's ``TraceIdRatioBased``."""


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
