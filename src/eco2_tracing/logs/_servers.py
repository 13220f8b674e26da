"""Loggers that servers, Celery workers and `logging.config` configure.

uvicorn configures its loggers before it imports the application if it is run as a command, and after
`configure_logging` if it is run by `uvicorn.run`. Its gunicorn worker sets gunicorn's handlers after the fork. None of
them changes a logger's filters. Our filter sees each record before the logger's handlers, and removes them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TextIO, TypeGuard

from eco2_tracing._compat.logging import format_of
from eco2_tracing.logs._formatter import EcsFormatter

SERVER_LOGGERS = (
    "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "gunicorn.error", "gunicorn.access",
    "hypercorn.error", "hypercorn.access", "_granian", "granian.access",
)  # fmt: skip


# Of `logging.basicConfig`, uvicorn, gunicorn, hypercorn and granian.
_DEFAULT_FORMATS: tuple[str | None, ...] = (
    None, logging.BASIC_FORMAT, "%(message)s",
    "%(levelprefix)s %(message)s", '%(levelprefix)s %(client_addr)s - "%(request_line)s" %(status_code)s',
    "%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "[%(levelname)s] %(message)s",
)  # fmt: skip


class ServerLoggers(logging.Filter):
    """A filter that makes the server loggers propagate. Every record passes.

    Attributes:
        loggers: The loggers.
        is_replaced: Returns whether a handler of theirs is removed, because the root logger's takes its place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loggers = [logging.getLogger(name) for name in SERVER_LOGGERS]
        self.is_replaced: Callable[[logging.Handler], bool] = is_console
        self._before: list[tuple[list[logging.Handler], bool]] = []

    def redirect(self) -> None:
        """Send all records of these loggers to the root logger, from now on."""
        if not self._before:
            self._before = [(list(each.handlers), each.propagate) for each in self.loggers]
        for each in self.loggers:
            each.addFilter(self)
        self.reassert()

    def reassert(self) -> None:
        """Repeat what a server has undone."""
        for each in self.loggers:
            if not (each.handlers or each.propagate) and _is_off(each):
                continue
            # A new list: gunicorn's worker for uvicorn shares one list between loggers.
            kept = [handler for handler in each.handlers if not self.is_replaced(handler)]
            if not kept or self.is_replaced is is_console:
                each.propagate, each.handlers = True, kept

    def filter(self, record: logging.LogRecord) -> bool:
        """Repeat the redirection if a server has configured its loggers again; return True."""
        for each in self.loggers:
            if each.handlers or not each.propagate:
                self.reassert()
                break
        return True

    def undo(self) -> None:
        """Restore the handlers of the loggers."""
        for each, before in zip(self.loggers, self._before, strict=False):
            each.removeFilter(self)
            each.handlers, each.propagate = before
        self._before = []


def is_console(handler: logging.Handler) -> TypeGuard[logging.StreamHandler[TextIO]]:
    """Return True for a plain stream handler of `basicConfig` or a server, False for subclasses such as files."""
    return type(handler) is logging.StreamHandler


def is_unconfigured(handler: logging.Handler) -> bool:
    """Return True for a plain stream handler without a format of its own."""
    of_fastapi = type(handler.formatter).__module__.startswith("fastapi_cli")
    return is_console(handler) and (of_fastapi or format_of(handler.formatter) in _DEFAULT_FORMATS)


def drop_echo(name: str) -> None:
    """Remove the handler of SQLAlchemy's `echo=True` from a logger: its lines would be there twice."""
    logger = logging.getLogger(name)
    if logger.handlers and logger.propagate:
        consoles = (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)
        logger.handlers = [
            each for each in logger.handlers if not (is_console(each) and each.stream in consoles)
        ]


def _is_off(logger: logging.Logger) -> bool:
    """Return True if access lines are switched off, as by `uvicorn --no-access-log`.

    Without `--access-logfile`, gunicorn's worker leaves uvicorn's access logger in the same state, but with gunicorn's
    own list of handlers. The lines are then wanted.
    """
    if not logger.name.endswith(".access"):
        return False
    shared = logging.getLogger("gunicorn.access").handlers
    return logger.name == "gunicorn.access" or logger.handlers is not shared


class ConfigWatch(logging.Handler):
    """Records which loggers are disabled before `logging.config` disables others.

    No logger has this handler. `logging.config` closes all handlers that exist before it disables loggers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.disabled: frozenset[str] | None = None  # names, once this is closed

    def close(self) -> None:
        """Record the loggers."""
        self.disabled = frozenset(name for name, logger in _loggers() if logger.disabled)
        super().close()


def enable_disabled(watch: ConfigWatch | None, servers: Iterable[logging.Logger]) -> ConfigWatch:
    """Enable the loggers that `logging.config` disabled since the last call, and return the watch for the next one.

    Loggers that were disabled one by one stay disabled. If all server loggers are disabled at the first call,
    `logging.config` did it.
    """
    if watch is None:
        watch = ConfigWatch()
        if all(each.disabled for each in servers):
            watch.disabled = frozenset()
    if watch.disabled is None:
        return watch
    for name, logger in _loggers():
        if logger.disabled and name not in watch.disabled:
            logger.disabled = False
    return ConfigWatch()


def _loggers() -> list[tuple[str, logging.Logger]]:
    known = list(logging.Logger.manager.loggerDict.items())
    return [(name, logger) for name, logger in known if isinstance(logger, logging.Logger)]


class CelerySetup:
    """Configures the logging of a worker by ``configure``, which repeats `configure_logging`.

    Celery replaces the handlers of the root logger, unless its signal `setup_logging` has a receiver.
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
