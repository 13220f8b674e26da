"""The sampling probability in ``tracestate``, as the collector reads it: ``ot=th:…;rv:…``.

By the specification a trace is sampled if its randomness is *at least* a threshold. The SDK's ratio sampler samples
trace ids *below* a bound. An explicit randomness value, the complement of the compared bits of the trace id, makes
both equivalent (specification/trace/tracestate-probability-sampling.md).
"""

from __future__ import annotations

from math import frexp

from opentelemetry.trace import TraceState

from eco2_tracing.sampling._head.samplers import LOW_64_BITS

_DIGITS = 14  # 56 bits
_ALL = 1 << 56
_PRECISION = 4  # "SDKs are recommended to use 4 digits of precision by default"
_MAX_MEMBER = 256  # tracestate-handling.md, "Value"


def threshold(probability: float) -> str | None:
    """Return the ``th`` value of a probability: 56 bits in hexadecimal without trailing zeros.

    It has four significant digits, rounded down, so that the randomness of a sampled trace is never below it. The
    probability that is read from it is too high by less than 1 in 4 000.

    Args:
        probability: Over 0, up to 1.

    Returns:
        The value, or ``None`` for a probability that is unknown (`UNKNOWN`), zero or below 2**-56.

    Examples:
        >>> threshold(1.0), threshold(0.01)
        ('0', 'fd70a')
    """
    if probability >= 1.0:
        return "0"
    kept = round(probability * _ALL)
    if kept < 1:
        return None
    # Leading f digits have no information: a smaller probability needs more digits.
    digits = min(_DIGITS, _PRECISION + frexp(probability)[1] // -4)
    return f"{_ALL - kept:014x}"[:digits].rstrip("0") or "0"


def randomness_value(trace_id: int) -> str:
    """Return the ``rv`` value of a trace id: 14 hexadecimal digits, the complement of 56 of its low 64 bits.

    Args:
        trace_id: The 128-bit trace id.
    """
    return f"{_ALL - 1 - ((trace_id & LOW_64_BITS) >> 8):014x}"


def ot_member(probability: float, trace_id: int) -> str | None:
    """Return the value of the ``ot`` member for a trace that was sampled with a probability.

    Args:
        probability: The value returned by `HeadSampler.sample`.
        trace_id: The 128-bit trace id.

    Returns:
        ``th:…;rv:…``, or ``th:0`` alone at 100 %, or ``None`` if the probability is unknown.

    Examples:
        >>> ot_member(0.5, trace_id=0x1)
        'th:8;rv:ffffffffffffff'
    """
    th = threshold(probability)
    if th is None or th == "0":
        return th and "th:0"
    return f"th:{th};rv:{randomness_value(trace_id)}"


def with_probability(trace_state: TraceState | None, probability: float, trace_id: int) -> TraceState | None:
    """Return a tracestate with this probability in place of an inherited one.

    Other sub-keys of ``ot`` and other members stay. An inherited ``rv`` stays unless a new one is needed. With an
    unknown probability the threshold is removed ("General requirements" of the specification).

    Args:
        trace_state: The inherited tracestate.
        probability: The value returned by `HeadSampler.sample`.
        trace_id: The 128-bit trace id.

    Returns:
        The new tracestate; the inherited one if nothing changes.
    """
    member = ot_member(probability, trace_id)
    if not trace_state:
        return TraceState([("ot", member)]) if member else trace_state
    old = trace_state.get("ot")
    if old is None and member is None:
        return trace_state
    parts = [member] if member else []
    ours = ("th:", "rv:") if member and member != "th:0" else ("th:",)
    parts += [part for part in (old or "").split(";") if part and not part.startswith(ours)]
    merged = ";".join(parts)
    if not merged or len(merged) > _MAX_MEMBER:
        return trace_state.delete("ot")
    return trace_state.update("ot", merged) if old is not None else trace_state.add("ot", merged)
