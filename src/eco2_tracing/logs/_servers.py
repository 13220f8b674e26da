"""The loggers of servers, which are made to propagate to the root logger.

uvicorn configures its loggers before it imports the application if it is run as a command, and after
`configure_logging` if it is run by `uvicorn.run`. Its gunicorn worker sets gunicorn's handlers after the fork. None of
them changes a logger's filters. Our filter sees each record before the logger's handlers, and removes them.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO, TypeGuard

SERVER_LOGGERS = (
    "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "gunicorn.error", "gunicorn.access",
    "hypercorn.error", "hypercorn.access", "_granian", "granian.access",
)  # fmt: skip


class ServerLoggers(logging.Filter):
    """A filter that makes the server loggers propagate. Every record passes.

    Attributes:
        loggers: The loggers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loggers = [logging.getLogger(name) for name in SERVER_LOGGERS]
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
            each.propagate = True
            # A new list: gunicorn's worker for uvicorn shares one list between loggers.
            each.handlers = [handler for handler in each.handlers if not is_console(handler)]

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
