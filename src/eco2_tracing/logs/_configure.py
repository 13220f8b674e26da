"""`configure_logging` and `reset_logging`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from eco2_tracing._errors import ConfigurationError
from eco2_tracing._redaction import Redactor, printable
from eco2_tracing._settings import Problem, load_settings, report_arguments, shown_argument, text_argument
from eco2_tracing.logs._format import LogFormat, format_argument, format_problem, formatter_of
from eco2_tracing.logs._records import capture_log_calls, stop_capturing
from eco2_tracing.logs._servers import (
    CelerySetup,
    ConfigWatch,
    ServerLoggers,
    drop_echo,
    enable_disabled,
    is_console,
    is_unconfigured,
)
from eco2_tracing.logs._shared import set_redactor, set_service, shared
from eco2_tracing.logs._stdout import StdoutHandler
from eco2_tracing.logs._tap import Sink, TappingFactory
from eco2_tracing.logs._uncaught import UncaughtHooks


class _Configured:
    """The changes of `configure_logging`, and the state before."""

    __slots__ = (
        "_before",
        "_celery",
        "_factory",
        "_format",
        "_handler",
        "_level",
        "_servers",
        "_sink",
        "_uncaught",
        "_watch",
    )

    def __init__(self) -> None:
        self._handler: StdoutHandler | None = None
        self._servers = ServerLoggers()
        self._before: tuple[list[logging.Handler], int] = ([], logging.WARNING)
        self._level = logging.INFO
        self._format: LogFormat = "json"
        self._sink: Sink | None = None
        self._factory: TappingFactory | None = None
        self._uncaught = UncaughtHooks(self._is_written)
        self._celery = CelerySetup(self._repeat)
        self._watch: ConfigWatch | None = None

    def configure(self, level: int, log_format: LogFormat) -> None:
        self._level, self._format = level, log_format
        root = logging.getLogger()
        if self._handler is None:
            self._handler = StdoutHandler()
            self._before = (list(root.handlers), root.level)
        self.tap(self._sink)
        self._watch = enable_disabled(self._watch, self._servers.loggers)
        for handler in list(root.handlers):
            if is_console(handler):
                root.removeHandler(handler)
        root.addHandler(self._handler)  # no effect if it is there
        root.setLevel(level)
        capture_log_calls(drop_echo)  # again, if another library has replaced the factory
        self._servers.redirect()
        self._uncaught.install()
        self._celery.connect()

    def tap(self, sink: Sink | None) -> None:
        """Pass each line on as ECS JSON, or end that with ``None``; in either order with `configure`."""
        self._sink = sink
        if self._factory is not None:
            self._factory.undo()
            self._factory = None
        if self._handler is not None:
            self._handler.formatter = formatter_of(self._format, sink=sink)
        elif sink is not None:
            self._factory = TappingFactory(sink)

    def replace(self, is_replaced: Callable[[logging.Handler], bool]) -> None:
        """Choose the handlers of server loggers that are removed."""
        self._servers.is_replaced = is_replaced

    def reassert(self) -> None:
        """Repeat `configure_logging` for server loggers that were configured again since.

        The loggers do this by themselves at their next record. It is needed for access lines, which uvicorn switches on
        or off when a connection is made. Does nothing before `configure_logging`.
        """
        if self._handler is not None:
            self._servers.reassert()

    def undo(self) -> None:
        if self._handler is None:
            return
        root = logging.getLogger()
        handlers, level = self._before
        ours, self._handler = self._handler, None
        added = [each for each in root.handlers if each is not ours and each not in handlers]
        root.handlers = handlers + added
        root.setLevel(level)
        self._servers.undo()
        self._uncaught.undo()
        self._celery.disconnect()
        self._watch = None

    def _repeat(self) -> None:
        self.configure(self._level, self._format)

    def _is_written(self, log: Callable[[], None]) -> bool:
        handler = self._handler
        if handler is None or handler not in logging.getLogger().handlers:
            return False
        handler.has_failed = False
        log()
        return not handler.has_failed


_configured = _Configured()
reassert_logging = _configured.reassert
tap_log_lines = _configured.tap


def configure_logging(
    level: int | str | None = None,
    *,
    service_name: str | None = None,
    format: str | None = None,  # noqa: A002 - the name of the public contract
) -> None:
    """Write every log line of this process to stdout, as ECS JSON or as text for people.

    Lines carry the trace id, and secrets are masked. The root logger gets one handler. It replaces plain stream
    handlers, such as those of `logging.basicConfig`. Handlers of other kinds stay. The loggers of uvicorn, gunicorn,
    hypercorn and granian propagate to it, whether they are configured before or after. Warnings and uncaught exceptions
    become lines too. A second call repairs what `logging.config` has changed since, such as loggers that it disabled.

    Args:
        level: Name or number of the root logger's level, such as ``"DEBUG"``. Default: INFO. An invalid one causes one
            warning.
        service_name: ``service.name``, unless the environment or ``configure_tracing`` sets it.
        format: ``json``, ``text``, or ``auto``: text if stdout is a terminal, else JSON. Default: ``json``.
            ``ECO2_TRACING_LOG_FORMAT`` takes precedence. An invalid one causes one warning.

    Examples:
        >>> configure_logging("WARNING", format="auto")
        >>> logging.getLogger("auth").info("not written, because its level is below WARNING")
    """
    _configured.replace(is_console)
    _configure(level, service_name, format)


def configure_unconfigured(service_name: str | None) -> None:
    """Do as ``configure_logging``, but keep handlers with a format of their own, whenever they are configured.

    Does nothing if the root logger has one. A call of ``configure_logging`` replaces them.

    Args:
        service_name: `service.name` if nothing else sets it.
    """
    if all(is_unconfigured(each) for each in logging.getLogger().handlers):
        _configured.replace(is_unconfigured)
        _configure(None, service_name, None)


def _configure(level: object, service_name: object, given_format: object) -> None:
    wanted, problem = _parsed(level)
    log_format, malformed = format_argument("configure_logging", given_format)
    service_name, unnamed = text_argument("configure_logging", "service_name", service_name, "auth-api")
    try:
        settings = load_settings(service_name=service_name)
    except ConfigurationError:  # strict mode: `configure_tracing` raises it with all problems
        set_service(service_name, final=False)
    else:
        log_format = settings.log_format or log_format
        malformed = malformed or format_problem(settings)
        set_service(settings.service_name, settings.service_version, settings.environment, final=False)
        if settings.redact_keys or settings.redact_numbers:
            set_redactor(Redactor(settings.redact_keys, numbers=settings.redact_numbers))
    _configured.configure(wanted, log_format or "json")
    report_arguments(problem, unnamed, malformed)


def reset_logging() -> None:
    """Undo `configure_logging`: handlers, levels, hooks, the record factory and the service's name. For tests."""
    _configured.undo()
    stop_capturing()
    shared.forget()


def _parsed(level: object) -> tuple[int, Problem | None]:
    """Return the level as a number, and the problem if it is invalid."""
    if level is None:
        return logging.INFO, None
    kind: type = type(level)
    if issubclass(kind, int) and kind is not bool and int.__ge__(cast("int", level), 0):
        return int.__int__(cast("int", level)), None
    name = printable(level).strip().upper() if issubclass(kind, str) else ""
    if name.isdecimal():
        return int(name), None
    known = logging.getLevelNamesMapping().get(name)
    if known is not None:
        return known, None
    found = f"configure_logging(level={shown_argument(level)})"
    cure = "write a name or a number, such as 'WARNING' or 30"
    return logging.INFO, Problem(
        "configure_logging(level)", "", "INFO", f"{found}: no such level, INFO is used; {cure}"
    )
