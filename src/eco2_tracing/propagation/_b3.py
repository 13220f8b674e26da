"""B3 propagation in both forms (https://github.com/openzipkin/b3-propagation)."""

from __future__ import annotations

from collections.abc import Mapping

from ._ids import HEX_DIGITS, Candidate
from ._names import B3, B3_FLAGS, B3_SAMPLED, B3_SPAN_ID, B3_TRACE_ID

_Decision = tuple[bool | None, bool]  # sampled, debug
_DECISIONS: dict[bytes, _Decision] = {
    b"0": (False, False),
    b"1": (True, False),
    b"false": (False, False),  # of old tracers, as the next one
    b"true": (True, False),
}
_SINGLE_DECISIONS: dict[bytes, _Decision] = {**_DECISIONS, b"d": (True, True)}
_UNDECIDED: _Decision = (None, False)


def extract_b3_multi(found: Mapping[bytes, bytes]) -> Candidate | None:
    """Extract the context of the ``X-B3-*`` headers.

    An invalid ``X-B3-Sampled`` counts as absent; the ids are used. ``None`` if the ids are invalid, or if there are
    neither ids nor a decision.
    """
    trace_text = found.get(B3_TRACE_ID)
    span_text = found.get(B3_SPAN_ID)
    decision_text = found.get(B3_SAMPLED)
    if decision_text is None:
        sampled, debug = _UNDECIDED
    else:
        sampled, debug = _DECISIONS.get(decision_text) or _decision(decision_text, _DECISIONS)
    if B3_FLAGS in found and found[B3_FLAGS].strip() == b"1":
        sampled = debug = True
    if not trace_text and not span_text:
        return None if sampled is None else (0, 0, sampled, debug, 0)
    if not trace_text or not span_text:
        return None
    return _candidate(trace_text, span_text, sampled, debug)


def extract_b3_single(found: Mapping[bytes, bytes]) -> Candidate | None:
    """Extract the context of the ``b3`` header; ``None`` if it is absent, or if one of its parts is invalid."""
    text = found.get(B3)
    if text is None:
        return None
    parts = text.strip().split(b"-", 4)
    count = len(parts)
    if count == 1:
        sampled, debug = _decision(parts[0], _SINGLE_DECISIONS)
        return None if sampled is None else (0, 0, sampled, debug, 0)
    if count == 2:
        return _candidate(parts[0], parts[1], None, False)
    sampled, debug = _decision(parts[2], _SINGLE_DECISIONS)
    if sampled is None or count > 4:
        return None
    if count == 4 and (len(parts[3]) != 16 or parts[3].translate(None, HEX_DIGITS)):
        return None
    return _candidate(parts[0], parts[1], sampled, debug)


def _decision(text: bytes, decisions: Mapping[bytes, _Decision]) -> _Decision:
    return decisions.get(text.strip().lower(), _UNDECIDED)


def _candidate(trace_text: bytes, span_text: bytes, sampled: bool | None, debug: bool) -> Candidate | None:
    """Parse a trace id of 16 or 32 and a span id of 16 hexadecimal digits in any case; zeros are invalid."""
    if len(trace_text) != 32 and len(trace_text) != 16:
        trace_text = trace_text.strip()
        if len(trace_text) != 32 and len(trace_text) != 16:
            return None
    if len(span_text) != 16:
        span_text = span_text.strip()
        if len(span_text) != 16:
            return None
    if (trace_text + span_text).translate(None, HEX_DIGITS):
        return None
    trace_id = int(trace_text, 16)
    span_id = int(span_text, 16)
    return (trace_id, span_id, sampled, debug, 0) if trace_id and span_id else None
