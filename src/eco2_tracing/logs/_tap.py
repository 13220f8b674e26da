"""Passes on the log lines of the process, for the waterfall of their trace. It costs nothing while it is off."""

from __future__ import annotations

import logging
from collections.abc import Callable

from eco2_tracing.logs._formatter import EcsFormatter

Sink = Callable[[str], None]
"""Takes one line of ECS JSON."""


class TappedFormatter(logging.Formatter):
    """Formats records as ECS JSON and passes each line on.

    Args:
        ecs: Formats records.
        sink: Takes the lines; must not raise.
    """

    def __init__(self, ecs: EcsFormatter, sink: Sink) -> None:
        super().__init__()
        self._ecs = ecs
        self._sink = sink

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as one line of JSON."""
        line = self._ecs.format(record)
        self._sink(line)
        return line


class TappingFactory:
    """A record factory that passes on the lines of a process without `configure_logging`.

    Fields of ``extra`` are set after the factory, so these lines are without them.

    Args:
        sink: Takes the lines; must not raise.
    """

    def __init__(self, sink: Sink) -> None:
        self._ecs = EcsFormatter()  # which installs the factory that captures ids
        self._sink = sink
        self._previous = logging.getLogRecordFactory()
        logging.setLogRecordFactory(self._make)

    def _make(self, *args: object, **kwargs: object) -> logging.LogRecord:
        record = self._previous(*args, **kwargs)
        self._sink(self._ecs.format(record))
        return record

    def undo(self) -> None:
        """Restore the previous factory, unless another library has replaced this one."""
        self._sink = _ignored
        if logging.getLogRecordFactory() == self._make:
            logging.setLogRecordFactory(self._previous)


def _ignored(_line: str) -> None:
    """Take a line after the end."""
