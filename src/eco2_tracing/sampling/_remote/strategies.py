"""Samplers of Jaeger's sampling strategies.

A strategy is a ``jaeger.api_v2.SamplingStrategyResponse`` (jaeger-idl, sampling.proto) in its JSON form. By its
documentation ``strategyType`` is ignored and ``operationSampling`` comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from eco2_tracing.sampling._head.base import NOT_CHOSEN, HeadSampler, JaegerTags
from eco2_tracing.sampling._head.fixed import AlwaysOff, TraceIdRatio
from eco2_tracing.sampling._head.rate import RateLimiting

MAX_OPERATIONS = 2000
"""Span names with a lower bound of their own, as in Jaeger's SDKs; further ones share one."""

Limiter = Callable[[float], HeadSampler]
"""Makes a sampler of the given number of traces a second."""


def rate_limiter(workers: int, clock: Callable[[], float]) -> Limiter:
    """Return a function that makes limiters of a rate that processes share; with a rate of 0 nothing is sampled."""

    def make(per_second: float) -> HeadSampler:
        if per_second == 0:
            return AlwaysOff()
        return RateLimiting(per_second, workers=workers, clock=clock)

    return make


def parse_strategy(answer: object, limiter: Limiter) -> HeadSampler:
    """Return the sampler of a strategy.

    Args:
        answer: The server's response, decoded from JSON.
        limiter: Makes rate-limiting samplers.

    Raises:
        ValueError: The response is no strategy; the message says why.
    """
    strategy = _mapping(answer, "the answer")
    if (operations := strategy.get("operationSampling")) is not None:
        return PerOperation(_mapping(operations, "operationSampling"), limiter)
    if (rate := strategy.get("rateLimitingSampling")) is not None:
        return limiter(_number(_mapping(rate, "rateLimitingSampling"), "maxTracesPerSecond"))
    if (ratio := strategy.get("probabilisticSampling")) is not None:
        return _probabilistic(ratio)
    raise ValueError("it names no strategy")


class PerOperation(HeadSampler):
    """Samples a ratio by span name, and a minimum number of traces a second for each name.

    Both probabilities are compared with the same trace id, so that the higher one decides.

    Args:
        strategies: ``PerOperationSamplingStrategies``, decoded from JSON.
        limiter: Makes rate-limiting samplers.

    Raises:
        ValueError: The strategies are not valid.
    """

    needs_name = True

    def __init__(self, strategies: Mapping[str, object], limiter: Limiter) -> None:
        self._ratios = dict(_ratios(strategies))
        self._default = TraceIdRatio(_number(strategies, "defaultSamplingProbability", most=1.0))
        self._lower_bound = _number(strategies, "defaultLowerBoundTracesPerSecond")
        self._limiter = limiter
        self._limiters: dict[str, HeadSampler] = {}
        self._others = limiter(self._lower_bound)

    def sample(self, trace_id: int, name: str) -> float:
        """Decide by the ratio of the span name, or by the minimum rate if its probability is higher."""
        by_ratio = self._ratios.get(name, self._default)
        if not self._lower_bound:
            return by_ratio.sample(trace_id, name)
        at_least = self._limiter_for(name).sample(trace_id, name)
        # If only one of the two samples, it has the higher probability: both compare the same trace id.
        ratio = by_ratio.sample(trace_id, name)
        return max(ratio, at_least) if at_least != NOT_CHOSEN else ratio

    def _limiter_for(self, name: str) -> HeadSampler:
        limiter = self._limiters.get(name)
        if limiter is None:
            if len(self._limiters) >= MAX_OPERATIONS:
                return self._others
            limiter = self._limiters.setdefault(name, self._limiter(self._lower_bound))
        return limiter

    def _at_least(self, name: str) -> float:
        return self._limiters.get(name, self._others).probability(name) or 0.0

    def probability(self, name: str) -> float:
        """Return the higher one of the two probabilities."""
        return max(self._ratios.get(name, self._default).probability(name), self._at_least(name))

    def jaeger_tags(self, name: str = "") -> JaegerTags:
        """Return ``lowerbound`` while the minimum rate decides, else ``probabilistic``, with the ratio."""
        ratio = self._ratios.get(name, self._default).probability(name)
        return ("lowerbound" if self._at_least(name) > ratio else "probabilistic", ratio)

    def get_description(self) -> str:
        """Return the number of span names with a ratio, and the ratio of others."""
        others = self._default.get_description()
        return f"PerOperation{{{len(self._ratios)} operations, others {others}}}"


def _ratios(strategies: Mapping[str, object]) -> Iterator[tuple[str, TraceIdRatio]]:
    listed = strategies.get("perOperationStrategies", [])
    if not isinstance(listed, list):
        raise ValueError("perOperationStrategies is no list")  # noqa: TRY004 - one error for all
    for item in listed:
        operation = _mapping(item, "an operation's strategy")
        name = operation.get("operation")
        if isinstance(name, str):
            yield name, _probabilistic(operation.get("probabilisticSampling"))


def _probabilistic(value: object) -> TraceIdRatio:
    return TraceIdRatio(_number(_mapping(value, "probabilisticSampling"), "samplingRate", most=1.0))


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")  # noqa: TRY004 - one error for all
    return value


def _number(mapping: Mapping[str, object], key: str, most: float = float("inf")) -> float:
    """Return a number from 0; JSON of protobuf leaves zeros out."""
    value = mapping.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{key} is {value!r}")
    if value == float("inf"):
        raise ValueError(f"{key} is endless")
    return float(value)
