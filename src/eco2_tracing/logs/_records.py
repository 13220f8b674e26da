"""The record factory that captures the context of each log call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import ref

from opentelemetry.context import Context

from eco2_tracing._context import otel_context
from eco2_tracing.logs._access import ACCESS
from eco2_tracing.logs._context import (
    NO_CONTEXT,
    PORTABLE,
    LogContext,
    capture_context,
    context_of,
)
from eco2_tracing.logs._exceptions import ids_of
from eco2_tracing.logs._request import current_request, server_call

Factory = Callable[..., logging.LogRecord]


class ContextRecord(logging.LogRecord):
    """A record with its context in a slot, so that formatters which write every attribute do not write it.

    Attributes:
        eco2_context: Set for records of log calls.
        eco2_made: Set for records of `logging.makeLogRecord`: the time that they were made, and the context. A record
            with another time is a copy of one that was made elsewhere.
        eco2_message: Set where the message is a dictionary, of which a queue's handler makes text.
    """

    __slots__ = ("eco2_context", "eco2_made", "eco2_message")

    eco2_context: LogContext
    eco2_made: tuple[float, LogContext]
    eco2_message: dict[str, object]

    def __copy__(self) -> ContextRecord:
        """Copy the attributes and the context."""
        return _with_attributes(self.__dict__.copy(), self)

    def __reduce__(self) -> tuple[Factory, tuple[dict[str, object]]]:
        """Pickle as a plain record: the process that unpickles it may not have this package."""
        attributes = dict(self.__dict__)
        context = context_of(self)
        if context.ids is not None or context.bound is not None:
            attributes[PORTABLE] = context.portable()
        return logging.makeLogRecord, (attributes,)


def _with_attributes(attributes: dict[str, object], other: ContextRecord | None = None) -> ContextRecord:
    record = ContextRecord.__new__(ContextRecord)
    record.__dict__ = attributes
    for name in ContextRecord.__slots__:
        if hasattr(other, name):
            setattr(record, name, getattr(other, name))
    return record


def _capturing(previous: Factory) -> Factory:
    """Return a factory that makes records as the previous one does, and captures their context."""
    is_default = previous is logging.LogRecord
    own: Factory = ContextRecord
    # What was captured last, and in which of OpenTelemetry's contexts: one does not change, and is not kept alive.
    state: tuple[Callable[[], object], LogContext] = (_nothing, NO_CONTEXT)

    def factory(
        name: str | None,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,
        args: object,
        exc_info: object,
        func: str | None = None,
        sinfo: str | None = None,
        **kwargs: object,
    ) -> logging.LogRecord:
        nonlocal state
        # Flat, and without the keywords that `LogRecord` ignores: this runs for every record.
        if is_default:
            record = own(name, level, pathname, lineno, msg, args, exc_info, func, sinfo)
        else:
            record = previous(name, level, pathname, lineno, msg, args, exc_info, func, sinfo, **kwargs)
        try:
            ambient = otel_context.get()
            request = current_request.get()
            captured_in, context = state
            is_server = server_call.get() is not None
            if (
                captured_in() is not ambient
                or context.bound is not None
                or (request is not None and (request.fields or name in ACCESS))
                or is_server
            ):
                context = capture_context(name, context)
                if context.request is None and not is_server and isinstance(ambient, Context):
                    state = (ref(ambient), context)
            if exc_info and context.ids is None:
                context = _with_ids_of(exc_info, context)
            if type(record) is not ContextRecord or name is None:
                return _keep(record, name, context)
            record.eco2_context = context
            if "sqlalchemy" in name:
                _installed.before_sqlalchemy(name)
            if type(msg) is not str and issubclass(type(msg), dict):
                record.eco2_message = msg  # type: ignore[assignment]  # it is a dictionary
        except Exception:  # noqa: BLE001, S110 - a log call must not fail
            pass
        return record

    return factory


def _keep(record: logging.LogRecord, name: object, context: LogContext) -> logging.LogRecord:
    """Keep the context with a record that another factory or `logging.makeLogRecord` made."""
    if type(record) is logging.LogRecord:
        record = _with_attributes(record.__dict__)
    if not isinstance(record, ContextRecord):
        if name is not None:
            record.__dict__[PORTABLE] = context
    elif name is None:
        record.eco2_made = (record.created, context)
    else:
        record.eco2_context = context
    return record


def _with_ids_of(exc_info: object, context: LogContext) -> LogContext:
    """Take the ids of the request that an exception ended: a server logs it when the context is gone."""
    error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else exc_info
    ids = ids_of(error) if isinstance(error, BaseException) else None
    if ids is None:
        return context
    return LogContext((f"{ids[0]:032x}", f"{ids[1]:016x}"), context.bound, None, context.request)


def _nothing() -> None:
    """Stand for a reference to a context before there is one."""


def _do_nothing(name: str) -> None:
    """Stand for `before_sqlalchemy` without `configure_logging`."""


class _Installed:
    """The factory that was installed last, and the one that it replaced.

    Attributes:
        before_sqlalchemy: Called with a logger's name for each record of SQLAlchemy's, before any handler has it.
    """

    __slots__ = ("_factory", "_previous", "before_sqlalchemy")

    def __init__(self) -> None:
        self.before_sqlalchemy: Callable[[str], None] = _do_nothing
        self._factory: Factory | None = None
        self._previous: Factory = logging.LogRecord

    def install(self, before_sqlalchemy: Callable[[str], None] | None = None) -> None:
        """Capture contexts from now on. Does nothing where a factory of ours is in use, alone or inside another."""
        if before_sqlalchemy is not None:
            self.before_sqlalchemy = before_sqlalchemy
        if self._is_in_use():
            return
        self._previous = logging.getLogRecordFactory()
        self._factory = _capturing(self._previous)
        logging.setLogRecordFactory(self._factory)

    def uninstall(self) -> None:
        """Undo, unless another library has put a factory around ours since."""
        if self._factory is not None and logging.getLogRecordFactory() is self._factory:
            logging.setLogRecordFactory(self._previous)
        self._factory = None
        self.before_sqlalchemy = _do_nothing

    def _is_in_use(self) -> bool:
        try:
            record = logging.getLogRecordFactory()("", 0, "", 0, "", (), None)
        except Exception:  # noqa: BLE001 - the factory is of another library
            return self._factory is not None
        return isinstance(record, ContextRecord) or PORTABLE in record.__dict__


_installed = _Installed()
capture_log_calls = _installed.install
stop_capturing = _installed.uninstall
