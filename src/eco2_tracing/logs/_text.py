"""Log lines for people."""

from __future__ import annotations

import logging
import sys

import orjson

from eco2_tracing._console.lines import flat, text_line
from eco2_tracing._console.terminal import Paint, coloured, has_colours, plain
from eco2_tracing.logs._formatter import EcsFormatter


class TextFormatter(logging.Formatter):
    """Formats records for people: time, level, logger, message, fields and short trace id. Tracebacks follow in lines.

    Each line is made from the ECS line, so secrets, limits and ids are the same. Control characters are escaped.

    Args:
        ecs: Formats records as ECS JSON. Default: an `EcsFormatter`.
        use_colors: True to write colours. Default: true with ``FORCE_COLOR``, and if stdout is a terminal and
            ``NO_COLOR`` is not set. uvicorn sets it for ``--use-colors`` and ``--no-use-colors``.
    """

    def __init__(self, ecs: logging.Formatter | None = None, *, use_colors: bool | None = None) -> None:
        super().__init__()
        self._ecs = EcsFormatter() if ecs is None else ecs
        has = has_colours(sys.stdout) if use_colors is None else use_colors
        self._paint: Paint = coloured if has else plain

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as text, without a line break at its end. Never raises."""
        return text_line(flat(orjson.loads(self._ecs.format(record))), self._paint)
