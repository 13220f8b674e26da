"""Loggers that `logging.config` disabled, as alembic's `env.py` does with all that exist."""

from __future__ import annotations

import logging
from collections.abc import Iterable


class ConfigWatch(logging.Handler):
    """Records which loggers are disabled before `logging.config` disables others.

    No logger has this handler. `logging.config` closes all handlers that exist before it disables loggers.

    Attributes:
        disabled: Names of the loggers that were disabled when this was closed; ``None`` until then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.disabled: frozenset[str] | None = None

    def close(self) -> None:
        """Record the loggers."""
        self.disabled = frozenset(name for name, logger in _loggers() if logger.disabled)
        super().close()


class DisabledLoggers:
    """Enables the loggers that `logging.config` disabled."""

    __slots__ = ("_watch",)

    def __init__(self) -> None:
        self._watch: ConfigWatch | None = None

    def enable(self, servers: Iterable[logging.Logger]) -> None:
        """Enable what was disabled since the last call. Loggers that were disabled one by one stay disabled.

        Args:
            servers: The server loggers. If all are disabled at the first call, `logging.config` did it.
        """
        if self._watch is None:
            before = frozenset[str]() if all(each.disabled for each in servers) else None
        else:
            before = self._watch.disabled
        if before is not None:
            for name, logger in _loggers():
                if logger.disabled and name not in before:
                    logger.disabled = False
        if self._watch is None or before is not None:
            self._watch = ConfigWatch()

    def forget(self) -> None:
        """Stop watching."""
        self._watch = None


def _loggers() -> list[tuple[str, logging.Logger]]:
    known = list(logging.Logger.manager.loggerDict.items())
    return [(name, logger) for name, logger in known if isinstance(logger, logging.Logger)]
