"""Response headers by which a callee reports that it kept a trace (W3C Trace Context editor's draft).

``server-timing: trace;desc=00-<trace id>-<span id>-01``, or ``traceresponse``, the older form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ._traceparent import parse_traceparent

_LONGEST = 8192
# One element of a comma-separated list; a quoted string may contain commas. The alternatives begin with different
# characters, so that there is one way to match and no backtracking.
_ELEMENT = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER = re.compile(rb'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)

Kept = tuple[int, int, bool]
"""Trace id, span id, sampled."""


def format_server_timing(trace_id: int, span_id: int) -> bytes:
    """Return the ``server-timing`` metric of a kept trace.

    Args:
        trace_id: The trace id.
        span_id: The id of the span that the callee kept.

    Returns:
        ``trace;desc=00-<32 digits>-<16 digits>-01``.
    """
    return b"trace;desc=00-%032x-%016x-01" % (trace_id, span_id)


def read_server_timing(values: Iterable[bytes]) -> Kept | None:
    """Parse ``server-timing`` headers of a response.

    Args:
        values: The values of all such headers, in order.

    Returns:
        Trace id, span id and sampled of the first valid ``trace`` metric; ``None`` if there is none.
    """
    for value in values:
        if b"trace" in value and len(value) <= _LONGEST:
            for element in _ELEMENT.findall(value):
                kept = _parse_metric(element)
                if kept is not None:
                    return kept
    return None


def read_trace_response(value: bytes) -> Kept | None:
    """Parse a ``traceresponse`` header.

    Args:
        value: The header's value.

    Returns:
        Trace id, span id and sampled; ``None`` if the value is invalid.
    """
    candidate = parse_traceparent(value)
    if candidate is None:
        return None
    return candidate[0], candidate[1], candidate[2] is True


def _parse_metric(element: bytes) -> Kept | None:
    """Parse one metric; the first of several descriptions counts (Server Timing, section 4)."""
    parts = iter(_PARAMETER.findall(element))
    if next(parts, b"").strip(b" \t") != b"trace":
        return None
    description = next(_descriptions(parts), None)
    return None if description is None else read_trace_response(description)


def _descriptions(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Return the values of the parameters named ``desc``, each a token or a quoted string."""
    for part in parts:
        name, _, text = part.partition(b"=")
        if name.strip(b" \t").lower() == b"desc":
            text = text.strip(b" \t")
            yield text[1:-1] if len(text) > 1 and text[:1] == text[-1:] == b'"' else text
