"""N new traces a second, decided by a probability that everybody can know.

A token bucket would leave the probability unknown, and services that share a trace would disagree.
Here each trace is compared with an estimated probability p, as a ratio sampler does. For p there are
two parts:

- N / rate, where the rate of offered traces is an exponentially decaying count. By itself this is
  what OpenTelemetry's Java ``ConsistentRateLimitingSampler`` does; it keeps N on average, but drifts
  by N * window * ln(rate now / rate before) whenever the load changes, and a small N scatters as
  independent coin tosses do.
- a correction by the balance: what N a second allowed up to now, less what was kept. It is bounded
  above (no savings for a storm after a quiet time) and pulls back within a fraction of a second.

p depends on the past only, never on the trace being decided: 1/p stays a fair weight for counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import exp

from eco2_tracing._native import RLock
from eco2_tracing.sampling._head.base import NOT_CHOSEN, HeadSampler, JaegerTags
from eco2_tracing.sampling._head.fixed import LOW_64_BITS
from eco2_tracing.sampling._head.forks import renew_after_fork

# Measured over Poisson, regular, bursty and stepping loads, N = 5 to 100 (benchmarks/rate_limiting.py):
# kept in any 10 s, and how far 1/p scatters, are both near their best here.
_WINDOW_S = 1.0  # over which the rate is estimated …
_WINDOW_TRACES = 3.0  # … or over what so many traces take at N a second, if that is longer
_SAVINGS_S = 0.9  # the balance never exceeds what so many seconds allow …
_PULL_S = 0.25  # … and each time it grows by what so many allow, p is e times higher
_STEP = 1.0  # traces: one kept trace alone never makes p more than e times lower
_MAX_CORRECTION = 3.0  # natural logarithm


class RateLimiting(HeadSampler):
    """Chooses about N new traces a second, evenly spread, the same ones in services that agree.

    Args:
        per_second: N, over 0.
        workers: Over how many processes N is shared; each takes an equal part.
        clock: Seconds that never step back.

    Raises:
        ValueError: N or the workers are not over 0.
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
        # begins rested, and as if N a second had been offered for ever
        self._count = self._expected - 1.0
        self._balance = self._savings
        self._last = clock()
        self._lock = RLock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """In a child: whoever held the lock is not there any more."""
        self._lock = RLock()

    def sample(self, trace_id: int, name: str) -> float:
        """Count one offered trace, and compare its id with the probability in force."""
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
        # comparisons written out: min() and max() would double the cost of a decision
        if correction > _MAX_CORRECTION:
            correction = _MAX_CORRECTION
        elif correction < -_MAX_CORRECTION:
            correction = -_MAX_CORRECTION
        p = self._expected / count * exp(correction)
        return p if p < 1.0 else 1.0  # noqa: FURB136

    def probability(self, name: str) -> float:
        """The probability that a trace offered now would be chosen with."""
        elapsed = max(self._clock() - self._last, 0.0)
        balance = min(self._balance + elapsed * self._target, self._savings)
        return self._estimate(self._count * exp(-elapsed / self._window) + 1.0, balance)

    def jaeger_tags(self, name: str = "") -> JaegerTags:
        """Jaeger calls this ``ratelimiting``; the parameter is N for the whole service."""
        return ("ratelimiting", self._per_second)

    def get_description(self) -> str:
        """N and this process's share."""
        return f"RateLimiting{{{self._per_second:g}/s, here {self._target:g}/s}}"
