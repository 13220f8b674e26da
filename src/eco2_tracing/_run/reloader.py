"""Text for the lines of the parent of `uvicorn --reload`.

The parent writes three lines and serves nothing. It starts its child after the first of them: what it imports for them
delays the server.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from eco2_tracing._console.lines import LogLine, text_line
from eco2_tracing._console.terminal import coloured, has_colours, is_terminal, plain

_FORMATS = ("ECO2_TRACING_LOG_FORMAT", "_ECO2_TRACING_RUN_LOG_FORMAT")


def writes_text(argv: Sequence[str]) -> bool:
    """Return True for the parent of a reloaded server whose lines are text in uvicorn's own configuration.

    Args:
        argv: The arguments of the process.
    """
    if "--reload" not in argv or any(each.startswith("--log-config") for each in argv):
        return False
    wanted = next(filter(None, (os.environ.get(each, "").strip().lower() for each in _FORMATS)), None)
    return wanted == "text" or (wanted == "auto" and is_terminal(sys.stdout))


class ReloaderLines(logging.Filter):
    """Formats the lines of the logger ``uvicorn.error``, whose handlers uvicorn sets later. Every record passes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the formatter of uvicorn's handlers."""
        for handler in logging.getLogger("uvicorn").handlers:
            if type(handler) is logging.StreamHandler and not isinstance(handler.formatter, _TextLines):
                handler.setStream(sys.stdout)
                handler.setFormatter(_TextLines())
        return True

    def install(self) -> None:
        """Format from now on."""
        logging.getLogger("uvicorn.error").addFilter(self)


class _TextLines(logging.Formatter):
    """Formats as `eco2_tracing.logs.TextFormatter` does, without settings, trace ids and masking."""

    def __init__(self) -> None:
        super().__init__()
        self._paint = coloured if has_colours(sys.stdout) else plain

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as text."""
        line: LogLine = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error.stack_trace"] = self.formatException(record.exc_info)
        return text_line(line, self._paint)
