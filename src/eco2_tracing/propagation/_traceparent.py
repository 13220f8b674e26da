"""The ``traceparent`` header of W3C Trace Context level 2 (https://www.w3.org/TR/trace-context-2/)."""

from __future__ import annotations

from collections.abc import Mapping

from ._ids import KNOWN_FLAGS, LOWER_HEX_DIGITS, Candidate
from ._names import TRACEPARENT

_DASH = 45
_LENGTH = 55  # the exact length in version 00, the least one in later versions


def extract_traceparent(found: Mapping[bytes, bytes]) -> Candidate | None:
    """Extract the context of the ``traceparent`` header; ``None`` if it is absent or invalid."""
    text = found.get(TRACEPARENT)
    return None if text is None else parse_traceparent(text)


def parse_traceparent(text: bytes) -> Candidate | None:
    """Parse the value of a ``traceparent`` or ``traceresponse`` header; ``None`` if it is invalid.

    Sections 3.2 and 4.3: digits are in lower case, version ``ff`` and ids of zeros are invalid, later versions are
    parsed as far as version 00 goes, and unknown flags are dropped.
    """
    if len(text) != _LENGTH:
        text = text.strip(b" \t")
        if len(text) < _LENGTH or not _has_valid_length(text):
            return None
        text = text[:_LENGTH]
    if (
        text.translate(None, LOWER_HEX_DIGITS) != b"---"
        or not text[2] == text[35] == text[52] == _DASH
        or text[:2] == b"ff"
    ):
        return None
    trace_id = int(text[3:35], 16)
    span_id = int(text[36:52], 16)
    if not trace_id or not span_id:
        return None
    flags = int(text[53:], 16)
    return (trace_id, span_id, flags & 1 == 1, False, flags & KNOWN_FLAGS)


def _has_valid_length(text: bytes) -> bool:
    """Return True for 55 characters, and for more in a later version if a dash follows the first 55."""
    return len(text) == _LENGTH or (text[:2] != b"00" and text[_LENGTH] == _DASH)
