"""A sampler of N new traces a second whose sampling probability is known.

With a token bucket the probability would be unknown, and services that share a trace would decide differently. Here
each trace id is compared with an estimated probability p, as a ratio sampler does. p is a product of two factors:

- N / rate, with an exponentially decaying count of offered traces as the rate. OpenTelemetry's Java
  ``ConsistentRateLimitingSampler`` uses this factor alone. It samples N on average, but at each change of the load
  the number differs by N * window * ln(new rate / old rate), and for a small N it varies as a binomial number does.
- a correction by the balance: the traces allowed up to now minus the traces sampled. The balance has an upper limit,
  so that a quiet time does not permit a burst, and it is corrected within a fraction of a second.

p depends on earlier traces only, never on the one being decided, so that 1/p is an unbiased weight for counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import exp

from eco2_tracing._forks import renew_in_child
from eco2_tracing._native import RLock
from eco2_tracing.sampling._head.samplers import LOW_64_BITS, NOT_CHOSEN, HeadSampler, JaegerTags

# Chosen by benchmarks/rate_limiting.py with Poisson, regular, bursty and stepping loads, N = 5 to 100: the number of
# traces sampled in any 10 s and the variance of 1/p are both near their minimum.
_WINDOW_S = 1.0  # The rate is estimated over this window,
_WINDOW_TRACES = 3.0  # or over the time of this many traces at N a second, if that is longer.
_SAVINGS_S = 0.9  # The balance is at most what N allows in this time.
_PULL_S = 0.25  # p is multiplied by e for each amount of balance that N allows in this time,
_STEP = 1.0  # or for this many traces, if that is more.
_MAX_CORRECTION = 3.0  # natural logarithm


class RateLimiting(HeadSampler):
    """Samples about N new traces a second, evenly spread. Services with the same load sample the same ones.

    Args:
        per_second: N, over 0, in traces a second.
        workers: Number of processes that share N equally. Default: 1.
        clock: Returns monotonic seconds.

    Raises:
        ValueError: N or the workers are not over 0.

    Examples:
        >>> provider = TracerProvider(sampler=ParentBased(RateLimiting(20)))
    """

    def __init__(
        self, per_second: float, *, workers: int = 1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not 0 < per_second < float("inf") or workers < 1:
            raise ValueError(f"{per_second!r} traces a second in {workers!r} processes")
        self._per_second = per_second
        self._target = target = per_second / workers
        self._clock = clock
        self._window = max(_WINDOW_S, _WINDOW_TRACES / target)
        self._expected = target * self._window
        self._savings = max(target * _SAVINGS_S, _STEP)
        self._pull = max(target * _PULL_S, _STEP)
        # Starts with a full balance, and with the count that a constant load of N a second would have.
        self._count = self._expected - 1.0
        self._balance = self._savings
        self._last = clock()
        self._lock = RLock()
        renew_in_child(self)

    def after_fork(self) -> None:
        """Replace the lock, which another thread may have held at the fork."""
        self._lock = RLock()

    def sample(self, trace_id: int, name: str) -> float:
        """Count one offered trace and compare its id with the current probability."""
        now = self._clock()
        low = trace_id & LOW_64_BITS
        with self._lock:  # uncontended 50 ns; nothing is called inside
            elapsed = now - self._last
            balance = self._balance
            count = self._count
            if elapsed > 0.0:
                self._last = now
                count *= exp(-elapsed / self._window)
                balance += elapsed * self._target
                if balance > self._savings:  # noqa: PLR1730 - as in _estimate
                    balance = self._savings
            self._count = count = count + 1.0
            p = self._estimate(count, balance)
            chosen = low < p * 18446744073709551616.0
            self._balance = balance - 1.0 if chosen else balance
        return p if chosen else NOT_CHOSEN

    def _estimate(self, count: float, balance: float) -> float:
        correction = balance / self._pull
        # Plain comparisons: min() and max() would double the cost of a decision.
        if correction > _MAX_CORRECTION:
            correction = _MAX_CORRECTION
        elif correction < -_MAX_CORRECTION:
            correction = -_MAX_CORRECTION
        p = self._expected / count * exp(correction)
        return p if p < 1.0 else 1.0  # noqa: FURB136

    def probability(self, name: str) -> float:
        """Return the probability of a trace that is offered now."""
        elapsed = max(self._clock() - self._last, 0.0)
        balance = min(self._balance + elapsed * self._target, self._savings)
        return self._estimate(self._count * exp(-elapsed / self._window) + 1.0, balance)

    def jaeger_tags(self, name: str = "") -> JaegerTags:
        """Return Jaeger's ``ratelimiting`` with N for all processes."""
        return ("ratelimiting", self._per_second)

    def get_description(self) -> str:
        """Return N and the share of this process."""
        return f"RateLimiting{{{self._per_second:g}/s, here {self._target:g}/s}}"
