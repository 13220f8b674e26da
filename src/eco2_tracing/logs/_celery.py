"""Log lines of Celery workers."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib import import_module

from eco2_tracing.logs._formatter import EcsFormatter


class CelerySetup:
    """Configures the logging of a worker.

    Celery replaces the handlers of the root logger, unless its signal `setup_logging` has a receiver.

    Args:
        configure: Repeats `configure_logging`.
    """

    __slots__ = ("_configure", "_file", "_is_connected")

    def __init__(self, configure: Callable[[], None]) -> None:
        self._configure = configure
        self._is_connected = False
        self._file: logging.Handler | None = None

    def connect(self) -> None:
        """Connect to the signal if Celery is imported. Its command imports it before the application."""
        if self._is_connected or "celery" not in sys.modules:
            return
        try:
            import_module("celery.signals").setup_logging.connect(self._set_up, weak=False)
        except (ImportError, AttributeError):  # another package of that name, or a broken one
            return
        self._is_connected = True

    def disconnect(self) -> None:
        """Undo `connect`."""
        if self._is_connected:
            import_module("celery.signals").setup_logging.disconnect(self._set_up)
            self._is_connected = False
        if self._file is not None:
            logging.getLogger().removeHandler(self._file)
            self._file.close()
            self._file = None

    def _set_up(self, logfile: object = None, **_: object) -> None:
        """Receive the signal. The level remains that of `configure_logging`."""
        self._configure()
        if isinstance(logfile, str) and logfile and self._file is None:
            from logging.handlers import WatchedFileHandler

            self._file = WatchedFileHandler(logfile, encoding="utf-8")
            self._file.setFormatter(EcsFormatter())
            logging.getLogger().addHandler(self._file)
        app = import_module("celery").current_app
        if app.conf.worker_redirect_stdouts:  # the default: what tasks print is logged
            app.log.redirect_stdouts(app.conf.worker_redirect_stdouts_level)
