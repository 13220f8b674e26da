"""The ids of the current span, for whoever writes lines."""

from __future__ import annotations

import logging

from opentelemetry.trace import get_current_span


def current_ids() -> tuple[str, str] | None:
    """Return the hexadecimal trace and span id, or ``None`` outside a trace."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


class TraceContextFilter(logging.Filter):
    """Puts `trace_id` and `span_id` on each record, for a format string of your own.

    Put it on a handler: a logger's filter does not see the records of the loggers below it.
    ``%(trace_id)s`` is 32, ``%(span_id)s`` 16 hexadecimal digits.

    Args:
        default: What stands there outside a trace.
    """

    def __init__(self, default: str = "-") -> None:
        super().__init__()
        self._default = default

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids; every record passes."""
        try:
            ids = current_ids()
        except Exception:  # noqa: BLE001 - a foreign span's fault must not lose the line
            ids = None
        record.trace_id, record.span_id = ids or (self._default, self._default)
        return True
