"""Trace context between processes.

Extraction uses the first valid context, in the order of the propagators. `Propagation` extracts and injects. The other
names are its result, its constants, and the headers that report kept traces.
"""

from __future__ import annotations

from ._formats import TRACE_HEADERS, format_server_timing, read_server_timing, read_trace_response
from ._inbound import Inbound, inbound_of
from ._propagation import Propagation
from ._tracestate import PropagatedTraceState

__all__ = [
    "TRACE_HEADERS",
    "Inbound",
    "PropagatedTraceState",
    "Propagation",
    "format_server_timing",
    "inbound_of",
    "read_server_timing",
    "read_trace_response",
]
