"""Why a local trace was kept, from what the library sets on spans and in ``tracestate``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eco2_tracing.testing import ReceivedSpan

REASON, PROBABILITY = "eco2.sampling.reason", "eco2.sampling.probability"

_TEXTS = {
    "head": "Sampled by the head sampler or by the caller. Nothing failed.",
    "error": "Kept because a span failed.",
    "slow": "Kept because it took longer than its threshold.",
    "upstream": "Kept because a called service kept its part of the trace.",
}
_DIGITS, _ALL = 14, 1 << 56  # a threshold has up to 56 bits
_THRESHOLD = re.compile(r"th:[0-9a-f]{1,14}")


def kept_of(span: ReceivedSpan) -> Mapping[str, object] | None:
    """Return why the local trace below a span was kept, and with which probability such traces are.

    Returns:
        ``reason`` (empty if unknown), ``probability`` (``None`` if unknown) and a ``text`` that says both; ``None`` for
        spans that are not the first of their local trace.
    """
    reason = span.attributes.get(REASON)
    if reason is None:
        return None
    given = span.attributes.get(PROBABILITY)
    if isinstance(given, int | float) and 0 < given <= 1:
        probability: float | None = float(given)
    else:
        probability = probability_of(span.trace_state)
    text = _TEXTS.get(str(reason), f"Kept with the reason {reason}.")
    return {"reason": str(reason), "probability": probability, "text": f"{text} {_words(probability)}"}


def probability_of(trace_state: str) -> float | None:
    """Return the probability of the member ``ot=th:…`` of a ``tracestate``, or ``None``.

    Its threshold is the rejected share: 56 bits in hexadecimal without trailing zeros.
    """
    for member in trace_state.split(","):
        key, _, value = member.strip().partition("=")
        if key != "ot":
            continue
        for part in value.split(";"):
            if _THRESHOLD.fullmatch(part):
                return 1 - int(part[3:].ljust(_DIGITS, "0"), 16) / _ALL
    return None


def _words(probability: float | None) -> str:
    if probability is None:
        return "The probability is unknown."
    if probability >= 1:
        return "Every such trace is exported."
    return f"{probability * 100:.4g} % of such traces are exported, so that this one stands for {1 / probability:.4g}."
