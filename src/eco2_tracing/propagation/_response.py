"""How a callee tells its caller that it kept a trace (W3C Trace Context editor's draft).

``server-timing: trace;desc=00-<trace id>-<span id>-01`` in the response; ``traceresponse`` is
the older spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ._traceparent import parse_traceparent

_LONGEST = 8192
# One element of a comma-separated list in which a quoted string may hold commas. Each
# alternative begins with a different character, so that there is one way to match only.
_ELEMENT = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PARAMETER = re.compile(rb'(?:[^;"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)

Kept = tuple[int, int, bool]
"""Trace id, span id, sampled."""


def format_server_timing(trace_id: int, span_id: int) -> bytes:
    """Format the ``server-timing`` metric that says: this trace was kept.

    Args:
        trace_id: The trace.
        span_id: The span that the callee kept.

    Returns:
        ``trace;desc=00-<32 digits>-<16 digits>-01``.
    """
    return b"trace;desc=00-%032x-%016x-01" % (trace_id, span_id)


def read_server_timing(values: Iterable[bytes]) -> Kept | None:
    """Read what a callee said in ``server-timing``.

    Args:
        values: The values of all such headers, in order.

    Returns:
        Trace id, span id and sampled of the first valid ``trace`` metric, else ``None``.
    """
    for value in values:
        if b"trace" in value and len(value) <= _LONGEST:
            for element in _ELEMENT.findall(value):
                kept = _read_metric(element)
                if kept is not None:
                    return kept
    return None


def read_trace_response(value: bytes) -> Kept | None:
    """Read what a callee said in ``traceresponse``.

    Args:
        value: The header's value.

    Returns:
        Trace id, span id and sampled, or ``None`` where it is not valid.
    """
    candidate = parse_traceparent(value)
    if candidate is None:
        return None
    return candidate[0], candidate[1], candidate[2] is True


def _read_metric(element: bytes) -> Kept | None:
    """Read one metric; of several descriptions the first counts (Server Timing, section 4)."""
    parts = iter(_PARAMETER.findall(element))
    if next(parts, b"").strip(b" \t") != b"trace":
        return None
    description = next(_descriptions(parts), None)
    return None if description is None else read_trace_response(description)


def _descriptions(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Give the values of the parameters named ``desc``, a token or a quoted string."""
    for part in parts:
        name, _, text = part.partition(b"=")
        if name.strip(b" \t").lower() == b"desc":
            text = text.strip(b" \t")
            yield text[1:-1] if len(text) > 1 and text[:1] == text[-1:] == b'"' else text
