"""The place of a handler that does not write lines beside those that do."""

from __future__ import annotations

import functools
import logging
from typing import Any


class RootHandler:
    """Adds a handler to the root logger, without an effect on the application's lines.

    `logging.basicConfig` does nothing if the root logger has a handler, and Python writes warnings to stderr only if
    no logger has one. Both are as without this handler.

    Args:
        handler: The handler.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler
        self._basic_config: Any = None
        handler.addFilter(self._write_as_last_resort)

    def install(self) -> None:
        """Add the handler. Safe to call again after the application has replaced the handlers."""
        logging.getLogger().addHandler(self._handler)  # no effect if it is there
        if self._basic_config is None:
            original = self._basic_config = logging.basicConfig

            @functools.wraps(original)
            def basic_config(**kwargs: Any) -> None:
                root = logging.getLogger()
                is_there = self._handler in root.handlers and self._basic_config is not None
                if is_there:
                    root.removeHandler(self._handler)
                try:
                    original(**kwargs)
                finally:
                    if is_there:
                        root.addHandler(self._handler)

            self._replacement = logging.basicConfig = basic_config

    def uninstall(self) -> None:
        """Undo ``install``."""
        logging.getLogger().removeHandler(self._handler)
        original, self._basic_config = self._basic_config, None
        if original is not None and logging.basicConfig is self._replacement:
            logging.basicConfig = original

    def _write_as_last_resort(self, record: logging.LogRecord) -> bool:
        """Write a record to stderr as Python does where no logger has a handler; return True."""
        last_resort = logging.lastResort
        if (
            last_resort is not None
            and record.levelno >= last_resort.level
            and len(logging.getLogger().handlers) == 1
            and not self._has_other_handlers(record.name)
        ):
            last_resort.handle(record)
        return True

    def _has_other_handlers(self, name: str) -> bool:
        logger: logging.Logger | None = logging.getLogger(name)
        while logger is not None:
            if any(each is not self._handler for each in logger.handlers):
                return True
            logger = logger.parent if logger.propagate else None
        return False
