"""ECS log lines that carry the trace id, and carry no secret.

`configure_logging` sets all up; the rest is for those who set logging up themselves.
"""

from __future__ import annotations

from eco2_tracing.logs._configure import configure_logging, reassert, reset_logging
from eco2_tracing.logs._formatter import EcsFormatter
from eco2_tracing.logs._request import Request, begin_request, bind_log_fields, end_request, enter_request
from eco2_tracing.logs._shared import set_redactor, set_service
from eco2_tracing.logs._structlog import structlog_processor
from eco2_tracing.logs._trace import TraceContextFilter
from eco2_tracing.logs._uvicorn import uvicorn_log_config

__all__ = [
    "EcsFormatter",
    "Request",
    "TraceContextFilter",
    "begin_request",
    "bind_log_fields",
    "configure_logging",
    "end_request",
    "enter_request",
    "reassert",
    "reset_logging",
    "set_redactor",
    "set_service",
    "structlog_processor",
    "uvicorn_log_config",
]
