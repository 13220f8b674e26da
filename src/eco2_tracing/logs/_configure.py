"""`configure_logging` and its undo."""

from __future__ import annotations

import json
import logging
import sys
from typing import TextIO

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._guard import warn_once
from eco2_tracing._redaction import Redactor, printable
from eco2_tracing._settings import load_settings
from eco2_tracing.logs._formatter import EcsFormatter
from eco2_tracing.logs._servers import Followers, is_console
from eco2_tracing.logs._shared import ecs_service, set_redactor, shared


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes each record as one ECS line to what `sys.stdout` is at that moment.

    Never raises and never writes to stderr: a log line that cannot be written is lost in silence.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.formatter: EcsFormatter = EcsFormatter()
        self._other: TextIO | None = None

    @property
    def stream(self) -> TextIO:
        """The stream in use; assigning one keeps it."""
        return self._other or sys.stdout

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        self._other = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, at once: a process may be killed after any of them.

        Args:
            record: Any record.
        """
        try:
            line = self.formatter.format(record)
            stream = self._other or sys.stdout
            try:
                stream.write(line + "\n")
            except UnicodeEncodeError:  # a stream that is not UTF-8
                stream.write(json.dumps(json.loads(line)) + "\n")
            stream.flush()
        except Exception:  # noqa: BLE001 - a full disk or a closed pipe is not the request's fault
            return


class _Configured:
    """What `configure_logging` changed, and how it was before."""

    __slots__ = ("_before", "_followers", "_handler")

    def __init__(self) -> None:
        self._handler: StdoutHandler | None = None
        self._followers = Followers()
        self._before: tuple[list[logging.Handler], int] = ([], logging.WARNING)

    def configure(self, level: int) -> None:
        root = logging.getLogger()
        if self._handler is None:
            self._handler = StdoutHandler()
            self._before = (list(root.handlers), root.level)
        for handler in list(root.handlers):
            if is_console(handler):
                root.removeHandler(handler)
        root.addHandler(self._handler)  # once, however often it is called
        root.setLevel(level)
        self._followers.follow()

    def reassert(self) -> None:
        if self._handler is not None:
            self._followers.reassert()

    def undo(self) -> None:
        if self._handler is None:
            return
        root = logging.getLogger()
        handlers, level = self._before
        ours, self._handler = self._handler, None
        added = [each for each in root.handlers if each is not ours and each not in handlers]
        root.handlers = handlers + added
        root.setLevel(level)
        self._followers.undo()


_configured = _Configured()


def configure_logging(level: int | str | None = None, *, service_name: str | None = None) -> None:
    """Write every log line of this process to stdout as ECS JSON.

    The root logger gets one handler in the place of plain stream handlers, such as those of
    `logging.basicConfig`; handlers of other kinds stay. The loggers of uvicorn, gunicorn,
    hypercorn and granian follow it, whether they are set up before or after. Safe to call twice.

    Args:
        level: Name or number of the root logger's level; INFO by default. A bad one is a warning.
        service_name: `service.name`, unless the environment or `configure_tracing` names the service.
    """
    wanted, problem = _parsed(level)
    try:
        settings = load_settings(service_name=service_name)
    except ConfigurationError:  # strict mode: `configure_tracing` raises it, with every problem
        shared.set_service(ecs_service(service_name, None, None), final=False)
    else:
        name, version, place = settings.service_name, settings.service_version, settings.environment
        shared.set_service(ecs_service(name, version, place), final=False)
        if settings.redact_keys or settings.redact_numbers:
            set_redactor(Redactor(settings.redact_keys, numbers=settings.redact_numbers))
    _configured.configure(wanted)
    if problem is not None:
        warn_once("logging:level", "configure_logging(level=%s): no such level, INFO is used", problem)


def reassert() -> None:
    """Repeat `configure_logging` for server loggers that were set up anew since.

    The loggers heal themselves with their next record; this is for access lines, which uvicorn
    switches on or off when a connection is made. Does nothing before `configure_logging`.
    """
    _configured.reassert()


def reset_logging() -> None:
    """Undo `configure_logging`, `set_service` and `set_redactor`. For tests."""
    _configured.undo()
    shared.forget()


def _parsed(level: object) -> tuple[int, str | None]:
    """Return the level as a number, and the bad value if it was one."""
    if level is None:
        return logging.INFO, None
    if isinstance(level, int) and not isinstance(level, bool) and level >= 0:
        return level, None
    name = printable(level).strip().upper()
    if name.isdecimal():
        return int(name), None
    number = logging.getLevelNamesMapping().get(name)
    return (logging.INFO, repr(printable(level))) if number is None else (number, None)
