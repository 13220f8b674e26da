"""One ECS line for each log record, whatever it contains."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import orjson
from pythonjsonlogger.orjson import OrjsonFormatter

from eco2_tracing._redaction import LONGEST_TEXT, SMALL, Budget, Redactor, cut, printable
from eco2_tracing.logs._access import ACCESS, AccessFields
from eco2_tracing.logs._context import (
    PORTABLE,
    Ids,
    LogContext,
    context_of,
    ids_fragment,
    ids_on,
)
from eco2_tracing.logs._exceptions import LONGEST_NAME, ExcInfo, error_fields, ids_of, raised
from eco2_tracing.logs._fields import ECS_VERSION, add_fields
from eco2_tracing.logs._messages import DictMessage, dict_message, rendered_error
from eco2_tracing.logs._plain import LONGEST_LINE, repaired
from eco2_tracing.logs._records import ContextRecord, capture_log_calls
from eco2_tracing.logs._shapes import ExtraFields
from eco2_tracing.logs._shared import shared

if TYPE_CHECKING:
    from eco2_tracing.logs._request import BoundFields

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_STANDARD_COUNT = len(_STANDARD)
# Of opentelemetry-instrumentation-logging; its ids are read in `ids_on`.
_CONTRIB = frozenset({"otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName"})
_NOT_FIELDS = _STANDARD | _CONTRIB | {
    "message", "asctime", "taskName",  # added by formatters and by Python 3.12
    "color_message",  # uvicorn's message with terminal colours
    PORTABLE,
}  # fmt: skip
_NOT_FIELDS_OF_STRUCTLOG = _NOT_FIELDS | {"_logger", "_name"}
_PLAIN_RECORDS = (ContextRecord, logging.LogRecord)

_LEVELS = {name: name.lower() for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "TRACE")}
_MILLISECONDS = [f"{number:03d}" for number in range(1000)]
_MOST_TAILS = 512
_LONGEST_LEVEL = 64

# Control characters above ASCII, line separators, those that change the direction of text, and those that
# nobody sees: a JSON string may hold them, a terminal or a viewer must not act on them.
_UNSAFE = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)

_Tail = tuple[str, AccessFields | None]
_Tails = tuple[Mapping[str, str], int | None, dict[tuple[str, str | None], _Tail]]


class EcsFormatter(OrjsonFormatter):
    """Formats records as ECS JSON: one parseable line each, with trace ids, without secrets.

    The line is put together from parts that seldom change and those that do, because this runs
    for every line: building and encoding a dictionary costs three times as much.

    Args:
        redact_keys: More names whose values are masked, beside those of `configure_tracing`.
        static_fields: Fields of every line, as ``{"event.dataset": "auth-api.log"}``.
        use_colors: Ignored; uvicorn sets it on every formatter of its configuration.
    """

    def __init__(
        self,
        *,
        redact_keys: Iterable[str] = (),
        static_fields: Mapping[str, object] | None = None,
        use_colors: object = None,
    ) -> None:
        super().__init__()
        capture_log_calls()
        own_keys = tuple(redact_keys)
        self._redactor = Redactor(own_keys) if own_keys else None
        self._static = dict(static_fields or {})
        self._second = (-1, "")
        self._tails: _Tails = ({}, None, {})
        self._extra = ExtraFields(_NOT_FIELDS, _CONTRIB | {PORTABLE})

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as one line of JSON, without its line break.

        Args:
            record: Any record; never raises.
        """
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - a log call must not fail, nor lose the line
            line = _last_resort(record)
        if line.isascii() and "\x7f" not in line:
            return line
        return _UNSAFE.sub(_escaped, line)

    def _line(self, record: logging.LogRecord) -> str:
        redactor = self._redactor or shared.redactor
        is_usual = not (record.exc_info or record.stack_info or record.exc_text or type(record.msg) is dict)
        is_plain = is_usual and len(record.__dict__) == _STANDARD_COUNT
        parts = (
            None
            if is_plain or (type(record.msg) is str and record.args is not None)
            else dict_message(record)
        )
        message = _message(record) if parts is None else printable(parts.text)
        budget = None if len(message) <= SMALL else Budget(LONGEST_LINE - min(len(message), LONGEST_TEXT))
        message = redactor.text(message, budget)
        if message.endswith("\n"):
            message = message.rstrip("\r\n")
        try:
            encoded = orjson.dumps(message).decode()
        except TypeError:
            encoded = orjson.dumps(repaired(message)).decode()

        created = record.created
        second = int(created)
        stamp = self._second
        if stamp[0] != second:
            stamp = self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))

        tails = self._tails
        if tails[0] is not shared.service or tails[1] != record.process:
            tails = self._tails = (shared.service, record.process, {})
        tail = tails[2].get((record.name, record.threadName)) or self._new_tail(record, tails, redactor)

        level = _LEVELS.get(record.levelname) or _level(record)
        line = (
            f'{{"@timestamp":"{stamp[1]}.{_MILLISECONDS[int((created - second) * 1000)]}Z",'
            f'"log.level":"{level}","message":{encoded}{tail[0]}'
        )
        try:
            context: LogContext = record.eco2_context  # type: ignore[attr-defined]
        except AttributeError:
            context = context_of(record)
        bound = context.bound
        if not is_plain or tail[1] is not None or self._static:
            if is_usual and bound is None and parts is None and tail[1] is None and not self._static:
                extra = self._extra.written(record, redactor)
                if extra is not None:
                    return f"{line}{context.fragment}{extra}}}"
            return f"{line}{self._more(record, redactor, tail[1], context, parts, budget)}}}"
        if bound is None:
            return f"{line}{context.fragment}}}"
        written = bound.written
        if written[0] is not redactor:
            written = bound.written = _bound(bound, redactor)
        return f"{line}{context.fragment}{written[1]}}}"

    def _new_tail(self, record: logging.LogRecord, tails: _Tails, redactor: Redactor) -> _Tail:
        """Write the fields that are the same for all lines of one logger and thread."""
        fields: dict[str, object] = {
            "ecs.version": ECS_VERSION,
            "log.logger": repaired(redactor.name(record.name)),
        }
        if isinstance(record.process, int):
            fields["process.pid"] = record.process
        if record.threadName is not None:
            fields["process.thread.name"] = repaired(redactor.name(record.threadName))
        fields.update((name, repaired(cut(value, LONGEST_NAME))) for name, value in tails[0].items())
        tail = (_fragment(fields), ACCESS.get(record.name))
        if len(tails[2]) >= _MOST_TAILS:  # loggers named by data; the next line begins anew
            self._tails = ({}, None, {})
        tails[2][record.name, record.threadName] = tail
        return tail

    def _more(
        self,
        record: logging.LogRecord,
        redactor: Redactor,
        access: AccessFields | None,
        context: LogContext,
        parts: DictMessage | None,
        budget: Budget | None,
    ) -> str:
        """Write ids, and what few lines have: an exception, HTTP fields, fields of the application."""
        if "extra" in record.__dict__:  # of loguru, whose threads make records too
            context = context_of(record)
        budget = budget or Budget(LONGEST_LINE)
        exc_info = raised(record.exc_info)
        trace = record.exc_text if record.exc_text and record.exc_text.strip() else None
        stack = record.stack_info
        rendered: dict[str, object] = {}
        if parts is not None:
            exc_info = exc_info or raised(parts.exc_info)
            text, rendered = rendered_error(parts.exception, exc_info)
            trace, stack = trace or text, stack or (printable(parts.stack) if parts.stack else None)
        ids = context.ids or _other_ids(record, exc_info, context)
        fields = error_fields(exc_info, trace, stack, self._traceback, redactor, budget)
        if access is not None:
            fields.update(access(record, redactor, context.request))
        given = self._static | rendered
        if context.bound is not None:
            given.update(context.bound.fields)
        given.update(_extras(record, ids, parts))
        if given:
            add_fields(fields, given, redactor, budget)
        return ids_fragment(ids) + _fragment(fields)

    def _traceback(self, exc_info: ExcInfo) -> str:
        return str(self.formatException(exc_info))


def _message(record: logging.LogRecord) -> str:
    """Return the message, or template and arguments where they do not fit together."""
    template = record.msg
    try:
        if type(template) is str and type(record) in _PLAIN_RECORDS:  # spares a call and `str`
            return template % record.args if record.args else template
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - the arguments are the application's
        text = printable(template)
        message = f"{text} {_arguments(record.args)}" if record.args else text
    return message if type(message) is str else printable(message)


def _arguments(args: object) -> str:
    if isinstance(args, tuple):
        return f"({', '.join(map(_represented, args))})"
    return _represented(args)


def _represented(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - the object is the application's
        return f"<unprintable {type(value).__name__}>"


def _other_ids(record: logging.LogRecord, exc_info: ExcInfo | None, context: LogContext) -> Ids | None:
    """Return the ids of an exception, or those that others put on the record."""
    kept = None if exc_info is None else ids_of(exc_info[1])
    return ids_on(record, context) if kept is None else (f"{kept[0]:032x}", f"{kept[1]:016x}")


def _extras(record: logging.LogRecord, ids: Ids | None, parts: DictMessage | None) -> dict[str, object]:
    """Return what `extra=` gave, and what a dictionary logged as message holds."""
    extras: dict[str, object] = {}
    not_fields = _NOT_FIELDS
    if parts is not None:
        extras.update(parts.fields)
        not_fields = _NOT_FIELDS_OF_STRUCTLOG
    for name, value in record.__dict__.items():
        if name in not_fields:
            continue
        if name == "extra" and type(value) is dict:  # loguru hands its fields on like that
            extras.update((key, value[key]) for key in value if key not in _CONTRIB)
        elif name not in ("trace_id", "span_id") or not _is_filters(name, value, ids):
            extras[name] = value
    return extras


def _is_filters(name: str, value: object, ids: Ids | None) -> bool:
    """Tell whether the value is what `TraceContextFilter` put there, which the line has already."""
    return value == "-" if ids is None else value == ids[name == "span_id"]


def _level(record: logging.LogRecord) -> str:
    return orjson.dumps(repaired(cut(printable(record.levelname), _LONGEST_LEVEL).lower())).decode()[1:-1]


def _bound(bound: BoundFields, redactor: Redactor) -> tuple[object, str]:
    """Write bound fields, for all lines until they change."""
    fields: dict[str, object] = {}
    add_fields(fields, bound.fields, redactor)
    return redactor, _fragment(fields)


def _fragment(fields: Mapping[str, object]) -> str:
    """Encode fields as the continuation of a JSON object."""
    return f",{orjson.dumps(fields).decode()[1:-1]}" if fields else ""


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _last_resort(record: logging.LogRecord) -> str:
    """Write the least that makes an ECS line, for a record that no logger makes."""
    second = time.time()
    document = {
        "@timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{int(second % 1 * 1000):03d}Z",
        "log.level": cut(
            _represented(getattr(record, "levelname", "error")).strip("'"), _LONGEST_LEVEL
        ).lower(),
        "message": shared.redactor.text(_represented(getattr(record, "msg", ""))),
        "ecs.version": ECS_VERSION,
        "process.pid": os.getpid(),
    }
    return json.dumps(document)
