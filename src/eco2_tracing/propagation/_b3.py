"""B3 in both forms (https://github.com/openzipkin/b3-propagation)."""

from __future__ import annotations

from collections.abc import Mapping

from ._ids import HEX_DIGITS, Candidate
from ._names import B3, B3_FLAGS, B3_SAMPLED, B3_SPAN_ID, B3_TRACE_ID

# The decision in words: (sampled, debug). Old tracers wrote true and false.
_State = tuple[bool | None, bool]
_STATES: dict[bytes, _State] = {
    b"0": (False, False),
    b"1": (True, False),
    b"false": (False, False),
    b"true": (True, False),
}
# In the single header alone; X-B3-Flags says it otherwise.
_SINGLE_STATES: dict[bytes, _State] = {**_STATES, b"d": (True, True)}
_UNDECIDED: _State = (None, False)


def read_multi(found: Mapping[bytes, bytes]) -> Candidate | None:
    """Read ``X-B3-*``.

    A sampling header that is not understood counts as absent: the ids beside it are good.

    Args:
        found: Header values by lower-case name.

    Returns:
        The context, a bare decision, or ``None`` where neither is valid.
    """
    trace_text = found.get(B3_TRACE_ID)
    span_text = found.get(B3_SPAN_ID)
    state_text = found.get(B3_SAMPLED)
    if state_text is None:
        sampled, debug = _UNDECIDED
    else:
        sampled, debug = _STATES.get(state_text) or _state(state_text, _STATES)
    if B3_FLAGS in found and found[B3_FLAGS].strip() == b"1":
        sampled = debug = True
    if not trace_text and not span_text:
        return None if sampled is None else (0, 0, sampled, debug, 0)
    if not trace_text or not span_text:
        return None
    return _candidate(trace_text, span_text, sampled, debug)


def read_single(found: Mapping[bytes, bytes]) -> Candidate | None:
    """Read the ``b3`` header, whole or not at all: it is one value.

    Args:
        found: Header values by lower-case name.

    Returns:
        The context, a bare decision, or ``None`` where neither is valid.
    """
    text = found.get(B3)
    if text is None:
        return None
    parts = text.strip().split(b"-", 4)
    count = len(parts)
    if count == 1:
        sampled, debug = _state(parts[0], _SINGLE_STATES)
        return None if sampled is None else (0, 0, sampled, debug, 0)
    if count == 2:
        return _candidate(parts[0], parts[1], None, False)
    sampled, debug = _state(parts[2], _SINGLE_STATES)
    if sampled is None or count > 4:
        return None
    if count == 4 and (len(parts[3]) != 16 or parts[3].translate(None, HEX_DIGITS)):
        return None
    return _candidate(parts[0], parts[1], sampled, debug)


def _state(text: bytes, states: Mapping[bytes, _State]) -> _State:
    """Read a decision: sampled (``None`` where none is told) and debug."""
    return states.get(text.strip().lower(), _UNDECIDED)


def _candidate(trace_text: bytes, span_text: bytes, sampled: bool | None, debug: bool) -> Candidate | None:
    """Join ids of 16 or 32, and 16, hexadecimal digits in either case; zeros are invalid."""
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
    if trace_id and span_id:
        return (trace_id, span_id, sampled, debug, 0)
    return None
