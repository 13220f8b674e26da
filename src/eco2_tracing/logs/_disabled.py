"""Loggers that `logging.config` disables, as alembic's `env.py` does to all that exist."""

from __future__ import annotations

import logging
from collections.abc import Iterable


class ConfigWatch(logging.Handler):
    """Remembers which loggers are disabled before `logging.config` disables more.

    It is on no logger. `logging.config` closes all handlers that exist, and then disables loggers.

    Attributes:
        disabled: Names of the loggers that were disabled when this was closed; ``None`` until then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.disabled: frozenset[str] | None = None

    def close(self) -> None:
        """Remember the loggers."""
        self.disabled = frozenset(name for name, logger in _loggers() if logger.disabled)
        super().close()


class DisabledLoggers:
    """Brings back the loggers that `logging.config` disabled."""

    __slots__ = ("_watch",)

    def __init__(self) -> None:
        self._watch: ConfigWatch | None = None

    def bring_back(self, servers: Iterable[logging.Logger]) -> None:
        """Enable what was disabled since the last call; loggers that were disabled one by one stay so.

        Args:
            servers: Loggers of which nobody disables all one by one, for the first call.
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
        """Watch no longer."""
        self._watch = None


def _loggers() -> list[tuple[str, logging.Logger]]:
    known = list(logging.Logger.manager.loggerDict.items())
    return [(name, logger) for name, logger in known if isinstance(logger, logging.Logger)]
