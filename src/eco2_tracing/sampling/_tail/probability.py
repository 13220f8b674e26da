"""With which probability a local trace is exported, given what happened in it.

Local traces that failed are one stratum, slow ones another, all others a third. Every local trace
of a stratum carries the stratum's probability, whether the head chose it or what happened in it
did: then 1/probability, summed over what is exported, estimates how many there were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eco2_tracing.sampling._head.base import UNKNOWN
from eco2_tracing.sampling._tail.local_trace import ERROR, HEAD, SLOW

if TYPE_CHECKING:
    from eco2_tracing.sampling._head.base import HeadSampler
    from eco2_tracing.sampling._tail.local_trace import LocalTrace
    from eco2_tracing.sampling._tail.rules import TailRules, TokenBucket


class SamplingProbability:
    """Knows the probability of each stratum.

    Args:
        head: The head sampler.
        rules: What is worth keeping.
        bucket: The cap: while it refuses, nobody knows a probability.
    """

    def __init__(self, head: HeadSampler, rules: TailRules, bucket: TokenBucket) -> None:
        self._head = head
        self._error_rate = rules.error_rate
        self._bucket = bucket

    def probability(self, local: LocalTrace, reason: str) -> float:
        """With which probability a local trace like this one is exported.

        Args:
            local: The local trace.
            reason: ``error``, ``slow`` or ``upstream``. Of the last nobody knows: what a callee
                kept by a cap or a rate of its own.

        Returns:
            Over 0, up to 1; negative where unknown.
        """
        if reason not in (ERROR, SLOW) or self._bucket.lately_refused():
            return UNKNOWN
        if reason == SLOW or self._error_rate >= 1.0:
            return 1.0
        if not local.decided_here:
            return UNKNOWN  # the gateway chose or did not, with a rate of its own
        if local.state == HEAD:
            head = local.probability
        else:
            told = self._head.probability(local.name)
            head = UNKNOWN if told is None else told
        # Both compare the same bits of the trace id: the larger share contains the smaller.
        return UNKNOWN if head < 0 else max(self._error_rate, head)
