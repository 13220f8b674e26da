"""Trace context between processes: extraction takes the first valid context, in the order of the propagators."""

from __future__ import annotations

from ._inbound import Inbound, inbound_of
from ._names import TRACE_HEADERS
from ._propagation import Propagation
from ._response import format_server_timing, read_server_timing, read_trace_response
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
