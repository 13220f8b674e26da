"""W3C Trace Context level 2, the ``traceparent`` part (https://www.w3.org/TR/trace-context-2/)."""

from __future__ import annotations

from collections.abc import Mapping

from ._ids import KNOWN_FLAGS, LOWER_HEX_DIGITS, Candidate
from ._names import TRACEPARENT

_DASH = 45
_LENGTH = 55  # of version 00, exactly; of later versions, at least


def read_traceparent(found: Mapping[bytes, bytes]) -> Candidate | None:
    """Read ``traceparent``.

    Args:
        found: Header values by lower-case name; a duplicated ``traceparent`` as empty bytes.

    Returns:
        The context, or ``None`` where the header is absent or invalid.
    """
    text = found.get(TRACEPARENT)
    return None if text is None else parse_traceparent(text)


def parse_traceparent(text: bytes) -> Candidate | None:
    """Parse the value of a ``traceparent`` (or ``traceresponse``) header.

    Section 3.2 and 4.3: lower case only, version ``ff`` and ids of zeros are invalid, later
    versions are read as far as version 00 goes, flags that are not known here are dropped.
    """
    if len(text) != _LENGTH:
        text = text.strip(b" \t")
        if len(text) < _LENGTH or not _is_longer_later_version(text):
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


def _is_longer_later_version(text: bytes) -> bool:
    """Tell whether a length other than 55 is right: what follows must be set off by a dash."""
    return len(text) == _LENGTH or (text[:2] != b"00" and text[_LENGTH] == _DASH)
