"""ECS log lines with trace ids and with masked secrets.

Most services need only `configure_logging`. The formatters, the filter and the structlog processor are for applications
that configure their handlers themselves.
"""

from __future__ import annotations

from eco2_tracing.logs._configure import configure_logging, reset_logging
from eco2_tracing.logs._format import log_formatter
from eco2_tracing.logs._formatter import EcsFormatter
from eco2_tracing.logs._records import TraceContextFilter
from eco2_tracing.logs._request import bind_log_fields
from eco2_tracing.logs._structlog import structlog_processor
from eco2_tracing.logs._text import TextFormatter
from eco2_tracing.logs._uvicorn import uvicorn_log_config

__all__ = [
    "EcsFormatter",
    "TextFormatter",
    "TraceContextFilter",
    "bind_log_fields",
    "configure_logging",
    "log_formatter",
    "reset_logging",
    "structlog_processor",
    "uvicorn_log_config",
]
