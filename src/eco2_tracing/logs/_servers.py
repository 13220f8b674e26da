"""Makes the servers' loggers follow the root logger, whenever the server sets them up.

uvicorn configures its loggers before it imports the app, when run as a command; after
`configure_logging`, when run by `uvicorn.run`; and its gunicorn worker gives them gunicorn's
handlers after the fork. None of them touches a logger's filters: ours looks at each record's
way before its handlers run, and clears it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import NamedTuple, TextIO, TypeGuard

SERVER_LOGGERS = (
    "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "gunicorn.error", "gunicorn.access",
    "hypercorn.error", "hypercorn.access", "_granian", "granian.access",
)  # fmt: skip


class _Before(NamedTuple):
    handlers: list[logging.Handler]
    propagate: bool


class Followers(logging.Filter):
    """The server loggers, kept on their way to the root logger. Every record passes.

    Args:
        names: Of the loggers.

    Attributes:
        loggers: The loggers themselves.
    """

    def __init__(self, names: Iterable[str] = SERVER_LOGGERS) -> None:
        super().__init__()
        self.loggers = [logging.getLogger(name) for name in names]
        self._before: list[_Before] = []

    def follow(self) -> None:
        """Send all records of these loggers to the root logger, from now on."""
        if not self._before:
            self._before = [_Before(list(each.handlers), each.propagate) for each in self.loggers]
        for each in self.loggers:
            each.addFilter(self)
        self.reassert()

    def reassert(self) -> None:
        """Repeat what a server undid since."""
        for each in self.loggers:
            if not (each.handlers or each.propagate) and _is_off(each):
                continue
            each.propagate = True
            # A new list: gunicorn's worker for uvicorn shares one between loggers.
            each.handlers = [handler for handler in each.handlers if not is_console(handler)]

    def filter(self, record: logging.LogRecord) -> bool:
        """Look whether a server has set its loggers up anew; called before their handlers."""
        for each in self.loggers:
            if each.handlers or not each.propagate:
                self.reassert()
                break
        return True

    def undo(self) -> None:
        """Give the loggers their handlers back."""
        for each, before in zip(self.loggers, self._before, strict=False):
            each.removeFilter(self)
            each.handlers, each.propagate = before
        self._before = []


def is_console(handler: logging.Handler) -> TypeGuard[logging.StreamHandler[TextIO]]:
    """Tell a plain stream handler, as `basicConfig` and servers make, from files and collectors of others."""
    return type(handler) is logging.StreamHandler


def drop_echo(name: str) -> None:
    """Remove the handler that SQLAlchemy's `echo=True` adds: each of its lines would be there twice.

    Args:
        name: Of the logger whose handlers are about to run.
    """
    logger = logging.getLogger(name)
    if logger.handlers and logger.propagate:
        consoles = (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__)
        logger.handlers = [
            each for each in logger.handlers if not (is_console(each) and each.stream in consoles)
        ]


def _is_off(logger: logging.Logger) -> bool:
    """Tell whether access lines are switched off, as by `uvicorn --no-access-log`.

    Without `--access-logfile`, gunicorn's worker leaves uvicorn's access logger in the same state,
    but with gunicorn's own list of handlers: nobody has decided against the lines there.
    """
    if not logger.name.endswith(".access"):
        return False
    shared = logging.getLogger("gunicorn.access").handlers
    return logger.name == "gunicorn.access" or logger.handlers is not shared
