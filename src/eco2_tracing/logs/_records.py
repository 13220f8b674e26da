"""The record factory that captures the context of each log call."""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import ref

from opentelemetry.context import Context

from eco2_tracing._context import otel_context
from eco2_tracing._guard import attempt_silently
from eco2_tracing.logs._access import ACCESS
from eco2_tracing.logs._context import NO_CONTEXT, PORTABLE, LogContext, capture_context, context_of, ids_on
from eco2_tracing.logs._exceptions import Ids, exc_info_of, ids_of
from eco2_tracing.logs._request import current_request, server_call

Factory = Callable[..., logging.LogRecord]


class ContextRecord(logging.LogRecord):
    """A record with its context in a slot. Formatters that write every attribute do not see it."""

    __slots__ = ("eco2_context", "eco2_made", "eco2_message")

    eco2_context: LogContext
    # Of `logging.makeLogRecord`: when the record was made, and the context. One with another time is a copy of one made
    # elsewhere.
    eco2_made: tuple[float, LogContext]
    eco2_message: dict[str, object]  # the message: a queue's handler turns `msg` into text

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
    """Return a factory that calls the previous one and captures the context."""
    is_default = previous is logging.LogRecord
    record_class: Factory = ContextRecord
    # The last captured context, and a weak reference to the OpenTelemetry context it was captured in. The latter is
    # immutable: while it is the current one, the former is valid.
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
            record = record_class(name, level, pathname, lineno, msg, args, exc_info, func, sinfo)
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
                return _with_context(record, name, context)
            record.eco2_context = context
            if "sqlalchemy" in name:
                _installed.before_sqlalchemy(name)
            if type(msg) is not str and issubclass(type(msg), dict):
                record.eco2_message = msg  # type: ignore[assignment]  # it is a dictionary
        except Exception:  # noqa: BLE001, S110 - every log call passes here and must not fail; without a context it works
            pass
        return record

    return factory


def _with_context(record: logging.LogRecord, name: object, context: LogContext) -> logging.LogRecord:
    """Store the context with a record of another factory or of `logging.makeLogRecord`."""
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
    """Return a context with the ids of the request that an exception ended, if it has them."""
    error = exc_info_of(exc_info)
    ids = None if error is None else ids_of(error[1])
    return context if ids is None else LogContext(ids, context.bound, None, context.request)


def _nothing(*_: object) -> None:
    """Stand for a weak reference before there is one, and for `before_sqlalchemy` without `configure_logging`."""


class _Installed:
    """The installed factory, and the one that it replaced."""

    __slots__ = ("_factory", "_previous", "before_sqlalchemy")

    def __init__(self) -> None:
        # Called with the logger's name for each record of SQLAlchemy, before its handlers.
        self.before_sqlalchemy: Callable[[str], None] = _nothing
        self._factory: Factory | None = None
        self._previous: Factory = logging.LogRecord

    def install(self, before_sqlalchemy: Callable[[str], None] | None = None) -> None:
        """Install the factory, unless it is in use, alone or inside another one."""
        if before_sqlalchemy is not None:
            self.before_sqlalchemy = before_sqlalchemy
        record = attempt_silently(
            lambda: logging.getLogRecordFactory()("", 0, "", 0, "", (), None), default=None
        )
        if record is None:  # another library's factory fails: ours is inside it if it has ever been installed
            is_in_use = self._factory is not None
        else:
            is_in_use = isinstance(record, ContextRecord) or PORTABLE in record.__dict__
        if not is_in_use:
            self._previous = logging.getLogRecordFactory()
            self._factory = _capturing(self._previous)
            logging.setLogRecordFactory(self._factory)

    def uninstall(self) -> None:
        """Restore the previous factory, unless another library has replaced ours."""
        if self._factory is not None and logging.getLogRecordFactory() is self._factory:
            logging.setLogRecordFactory(self._previous)
        self._factory = None
        self.before_sqlalchemy = _nothing


_installed = _Installed()
capture_log_calls = _installed.install
stop_capturing = _installed.uninstall


class TraceContextFilter(logging.Filter):
    """Sets `trace_id` and `span_id` on each record. Every record passes.

    Add it to a handler, because the filter of a logger does not see the records of the loggers below it.
    ``%(trace_id)s`` has 32 hexadecimal digits and ``%(span_id)s`` 16. They are the ids of the log call, even if the
    handler writes later or in another thread.

    Args:
        default: The value of both outside a trace.

    Examples:
        >>> handler = logging.StreamHandler()
        >>> handler.setFormatter(logging.Formatter("%(levelname)s [%(trace_id)s] %(message)s"))
        >>> handler.addFilter(TraceContextFilter())
    """

    def __init__(self, default: str = "-") -> None:
        super().__init__()
        capture_log_calls()
        self._default = default

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the ids and return True."""
        # Not even a record of another package may lose its line.
        ids = attempt_silently(_ids, record, default=None)
        record.trace_id, record.span_id = ids or (self._default, self._default)
        return True


def _ids(record: logging.LogRecord) -> Ids | None:
    context = context_of(record)
    return context.ids or ids_on(record, context)
