"""The sampler that uses the strategy of a Jaeger server, which a thread polls.

A strategy is a ``jaeger.api_v2.SamplingStrategyResponse`` (jaeger-idl, sampling.proto) in its JSON form. By its
documentation ``strategyType`` is ignored and ``operationSampling`` comes first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from queue import Empty

from eco2_tracing._forks import renew_in_child
from eco2_tracing._guard import warn_once
from eco2_tracing._lazy_imports import lazy_imports
from eco2_tracing._native import NativeThread, RLock, Signal
from eco2_tracing._settings import shown_endpoint
from eco2_tracing.sampling._head.rate import RateLimiting
from eco2_tracing.sampling._head.samplers import NOT_CHOSEN, AlwaysOff, HeadSampler, JaegerTags, TraceIdRatio
from eco2_tracing.sampling._remote.fetch import Endpoint, Fetcher

MAX_OPERATIONS = 2000
"""Span names with a lower bound of their own, as in Jaeger's SDKs; further ones share one."""

Limiter = Callable[[float], HeadSampler]
"""Makes a sampler of the given number of traces a second."""

_JITTER = 0.1  # share of the interval: instances that start together must not poll together
_JOIN_S = 0.5


def rate_limiter(workers: int, clock: Callable[[], float]) -> Limiter:
    """Return a function that makes limiters of a rate that processes share; with a rate of 0 nothing is sampled."""

    def make(per_second: float) -> HeadSampler:
        if per_second == 0:
            return AlwaysOff()
        return RateLimiting(per_second, workers=workers, clock=clock)

    return make


def parse_strategy(answer: object, limiter: Limiter) -> HeadSampler:
    """Return the sampler of a server's response, decoded from JSON; `ValueError` says why it is no strategy."""
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

    Both probabilities are compared with the same trace id, so that the higher one decides. Invalid
    ``PerOperationSamplingStrategies`` are a `ValueError`.
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


class JaegerRemote(HeadSampler):
    """Samples by the strategy of a Jaeger server, and by an initial ratio until it is fetched.

    The polling thread starts with the first decision, in a forked child too. The last valid strategy stays in use
    while the server cannot be reached or sends none; one warning is logged.

    Args:
        endpoint: The server.
        service_name: The service whose strategy is requested.
        interval_s: Seconds between two polls.
        initial_ratio: The initial ratio, from 0 to 1.
        limiter: Makes rate-limiting samplers.
        fetch: Returns a decoded strategy, in place of a request to the server.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        service_name: str,
        *,
        interval_s: float,
        initial_ratio: float,
        limiter: Limiter,
        fetch: Callable[[], object] | None = None,
    ) -> None:
        self._url = shown_endpoint(endpoint.url)
        self._interval_s = interval_s
        self._limiter = limiter
        self._fetcher = Fetcher(endpoint, service_name)
        self._fetch = fetch or self._fetcher.fetch
        self._current: HeadSampler = TraceIdRatio(initial_ratio)
        self._answer: object = None
        self._closed = False
        self.after_fork()
        renew_in_child(self)

    def after_fork(self) -> None:
        """Forget the thread of the parent process; the next decision starts a new one."""
        self._started = self._closed
        self._stop: Signal = Signal()
        self._lock = RLock()
        self._thread: NativeThread | None = None

    def sample(self, trace_id: int, name: str) -> float:
        """Decide by the current strategy."""
        if not self._started:
            self._start()
        return self._current.sample(trace_id, name)

    @property
    def needs_name(self) -> bool:  # type: ignore[override]  # changes with the strategy
        """True if the current strategy decides by the span's name."""
        return self._current.needs_name

    def probability(self, name: str) -> float | None:
        """Return the current strategy's probability."""
        return self._current.probability(name)

    def jaeger_tags(self, name: str = "") -> JaegerTags | None:
        """Return the current strategy's tags."""
        return self._current.jaeger_tags(name)

    def get_description(self) -> str:
        """Return the server's URL and the current strategy."""
        return f"JaegerRemote{{{self._url}: {self._current.get_description()}}}"

    def refresh(self) -> bool:
        """Fetch the strategy now, in this thread; return True if one was read. The request is not traced."""
        with lazy_imports():
            from opentelemetry.instrumentation.utils import (
                suppress_instrumentation,
            )

        try:
            with suppress_instrumentation():
                answer = self._fetch()
            if answer != self._answer:  # otherwise limiters keep their estimate of the load
                self._current = parse_strategy(answer, self._limiter)
                self._answer = answer
        except Exception as error:  # noqa: BLE001 - any failure of the request; the thread goes on
            if self._stop.empty():
                self._warn(error)
            return False
        return True

    def close(self) -> None:
        """Stop the thread without waiting for the server, and keep the last strategy."""
        with self._lock:
            self._closed = self._started = True
            thread = self._thread
        self._stop.put(None)
        self._fetcher.abort()
        if thread is not None and not thread.is_current():
            thread.join(_JOIN_S)

    def _start(self) -> None:
        with self._lock:
            if self._started:
                return
            self._started = True
            self._thread = NativeThread(partial(self._poll, self._stop), "eco2-tracing-sampling")
        try:
            self._thread.start()
        except RuntimeError as error:  # the interpreter is shutting down, or no thread is left
            self._warn(error)

    def _poll(self, stop: Signal) -> None:
        spread = random.Random()  # noqa: S311 - a jitter
        while stop.empty():
            self.refresh()
            with suppress(Empty):
                stop.get(timeout=self._interval_s * spread.uniform(1 - _JITTER, 1 + _JITTER))
                return

    def _warn(self, error: Exception) -> None:
        warn_once(
            f"jaeger_remote:{self._url}",
            "no sampling strategy from %s (%s: %s); %s stays in use, the server is asked again every %g s",
            self._url, type(error).__name__, error,
            self._current.get_description(), self._interval_s,
        )  # fmt: skip
