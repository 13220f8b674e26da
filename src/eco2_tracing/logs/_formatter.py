"""Formatting of any log record as one ECS line."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import orjson

from eco2_tracing._guard import attempt_silently
from eco2_tracing._redaction import LONGEST_TEXT, SMALL, Budget, Redactor, printable, truncate
from eco2_tracing.logs._access import ACCESS, UVICORN_ACCESS, AccessFields, request_members, usual_line
from eco2_tracing.logs._context import PORTABLE, LogContext, context_of, ids_fragment, ids_on
from eco2_tracing.logs._exceptions import LONGEST_NAME, Ids, error_fields, exc_info_of, ids_of
from eco2_tracing.logs._fields import ECS_VERSION, ExtraFields, add_fields
from eco2_tracing.logs._json import LONGEST_LINE, escape_surrogates
from eco2_tracing.logs._records import ContextRecord, capture_log_calls
from eco2_tracing.logs._shared import shared
from eco2_tracing.logs._structlog import DictMessage, dict_message, rendered_error

if TYPE_CHECKING:
    from eco2_tracing.logs._request import BoundFields

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
_STANDARD_COUNT = len(_STANDARD)
# Attributes of opentelemetry-instrumentation-logging; `ids_on` reads the ids.
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
_MOST_CONSTANTS = 512
_LONGEST_LEVEL = 64

# Control characters above ASCII, line separators, characters that change the direction of text, and invisible ones.
# JSON allows them in a string; a terminal or a viewer could act on them.
_UNSAFE = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)

_Constant = tuple[str, AccessFields | None]
_Constants = tuple[Mapping[str, str], int | None, dict[tuple[str, str | None], _Constant]]


class EcsFormatter(logging.Formatter):
    """Formats records as ECS JSON: one parseable line each, with trace ids and masked secrets.

    A line is concatenated from cached parts and from parts that differ between lines. Building and encoding a
    dictionary takes three times as long. The fields follow the ECS logging specification.

    Args:
        redact_keys: More names whose values are masked, beside those of `configure_tracing`.
        static_fields: Fields of every line.
        use_colors: Ignored. uvicorn sets it on every formatter of its configuration.

    Examples:
        >>> handler = logging.StreamHandler()
        >>> handler.setFormatter(EcsFormatter(static_fields={"event.dataset": "auth-api.log"}))
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
        self._second = (-1, "")  # the last line's time in seconds, formatted
        # For the service and process: the fields that all lines of one logger and thread share.
        self._constants: _Constants = ({}, None, {})
        self._extra = ExtraFields(_NOT_FIELDS, _CONTRIB | {PORTABLE})

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as one line of JSON, without a line break. Never raises."""
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - every line passes here: a log call must not fail and must not lose its line
            line = _last_resort(record)
        if line.isascii() and "\x7f" not in line:
            return line
        return _UNSAFE.sub(_escaped, line)

    def _line(self, record: logging.LogRecord) -> str:
        redactor = self._redactor or shared.redactor
        is_usual = not (record.exc_info or record.stack_info or record.exc_text or type(record.msg) is dict)
        is_plain = is_usual and len(record.__dict__) == _STANDARD_COUNT
        may_have_parts = not is_plain and (type(record.msg) is not str or record.args is None)
        parts = dict_message(record) if may_have_parts else None
        message = _message(record) if parts is None else printable(parts.text)
        budget = usual = None
        if is_plain and record.name == UVICORN_ACCESS and not self._static:
            usual = usual_line(record, redactor)
        if usual is None:
            budget = None if len(message) <= SMALL else Budget(LONGEST_LINE - min(len(message), LONGEST_TEXT))
            message = redactor.text(message, budget)
        if message.endswith("\n"):
            message = message.rstrip("\r\n")
        try:
            encoded = orjson.dumps(message).decode()
        except TypeError:
            encoded = orjson.dumps(escape_surrogates(message)).decode()

        created = record.created
        second = int(created)
        stamp = self._second
        if stamp[0] != second:
            stamp = self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))

        constants = self._constants
        if constants[0] is not shared.service or constants[1] != record.process:
            constants = self._constants = (shared.service, record.process, {})
        constant = constants[2].get((record.name, record.threadName))
        if constant is None:
            constant = self._new_constant(record, constants, redactor)

        level = _LEVELS.get(record.levelname) or _level(record)
        line = (
            f'{{"@timestamp":"{stamp[1]}.{_MILLISECONDS[int((created - second) * 1000)]}Z",'
            f'"log.level":"{level}","message":{encoded}{constant[0]}'
        )
        try:
            context: LogContext = record.eco2_context  # type: ignore[attr-defined]
        except AttributeError:
            context = context_of(record)
        bound = context.bound
        if usual is not None and bound is None:
            return f"{line}{context.fragment}{usual}{request_members(record, redactor, context.request)}}}"
        access = constant[1]
        if not is_plain or access is not None or self._static:
            if is_usual and bound is None and parts is None and access is None and not self._static:
                extra = self._extra.formatted(record, redactor)
                if extra is not None:
                    return f"{line}{context.fragment}{extra}}}"
            return f"{line}{self._other_fields(record, redactor, access, context, parts, budget)}}}"
        if bound is None:
            return f"{line}{context.fragment}}}"
        written = bound.written
        if written[0] is not redactor:
            written = bound.written = _format_bound(bound, redactor)
        return f"{line}{context.fragment}{written[1]}}}"

    def _new_constant(
        self, record: logging.LogRecord, constants: _Constants, redactor: Redactor
    ) -> _Constant:
        """Format the fields that all lines of one logger and thread share."""
        fields: dict[str, object] = {
            "ecs.version": ECS_VERSION,
            "log.logger": escape_surrogates(redactor.name(record.name)),
        }
        if isinstance(record.process, int):
            fields["process.pid"] = record.process
        if record.threadName is not None:
            fields["process.thread.name"] = escape_surrogates(redactor.name(record.threadName))
        fields.update(
            (name, escape_surrogates(truncate(value, LONGEST_NAME))) for name, value in constants[0].items()
        )
        constant = (_fragment(fields), ACCESS.get(record.name))
        if len(constants[2]) >= _MOST_CONSTANTS:  # names of loggers that contain data: clear the cache
            self._constants = ({}, None, {})
        constants[2][record.name, record.threadName] = constant
        return constant

    def _other_fields(
        self,
        record: logging.LogRecord,
        redactor: Redactor,
        access: AccessFields | None,
        context: LogContext,
        parts: DictMessage | None,
        budget: Budget | None,
    ) -> str:
        """Format the ids, and what few lines have: an exception, HTTP fields, fields of the application."""
        if "extra" in record.__dict__:  # of loguru, whose threads make records, too
            context = context_of(record)
        budget = budget or Budget(LONGEST_LINE)
        exc_info = exc_info_of(record.exc_info)
        trace = record.exc_text if record.exc_text and record.exc_text.strip() else None
        stack = record.stack_info
        rendered: dict[str, object] = {}
        if parts is not None:
            exc_info = exc_info or exc_info_of(parts.exc_info)
            text, rendered = rendered_error(parts.exception, exc_info)
            trace, stack = trace or text, stack or (printable(parts.stack) if parts.stack else None)
        ids = context.ids or (exc_info and ids_of(exc_info[1])) or ids_on(record, context)
        fields = error_fields(exc_info, trace, stack, self.formatException, redactor, budget)
        if access is not None:
            fields.update(access(record, redactor, context.request))
        given = self._static | rendered
        if context.bound is not None:
            given.update(context.bound.fields)
        given.update(_extras(record, ids, parts))
        if given:
            add_fields(fields, given, redactor, budget)
        return ids_fragment(ids) + _fragment(fields)


def _message(record: logging.LogRecord) -> str:
    """Return the message; the template and the arguments if they do not fit together."""
    template = record.msg
    try:
        if type(template) is str and type(record) in _PLAIN_RECORDS:  # saves a call and `str`
            return template % record.args if record.args else template
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - every line passes here, with arguments of the application
        text = printable(template)
        message = f"{text} {_arguments(record.args)}" if record.args else text
    return message if type(message) is str else printable(message)


def _arguments(args: object) -> str:
    if isinstance(args, tuple):
        return f"({', '.join(map(_represented, args))})"
    return _represented(args)


def _represented(value: object) -> str:
    return attempt_silently(repr, value, default=f"<unprintable {type(value).__name__}>")


def _extras(record: logging.LogRecord, ids: Ids | None, parts: DictMessage | None) -> dict[str, object]:
    """Return the fields of `extra=`, and those of a dictionary that was logged as message."""
    extras: dict[str, object] = {}
    not_fields = _NOT_FIELDS
    if parts is not None:
        extras.update(parts.fields)
        not_fields = _NOT_FIELDS_OF_STRUCTLOG
    for name, value in record.__dict__.items():
        if name in not_fields:
            continue
        if name == "extra" and type(value) is dict:  # of loguru
            extras.update((key, value[key]) for key in value if key not in _CONTRIB)
        elif name not in ("trace_id", "span_id") or not _is_of_filter(name, value, ids):
            extras[name] = value
    return extras


def _is_of_filter(name: str, value: object, ids: Ids | None) -> bool:
    """Return True for the value of `TraceContextFilter`, which the line has already."""
    return value == "-" if ids is None else value == ids[name == "span_id"]


def _level(record: logging.LogRecord) -> str:
    return orjson.dumps(
        escape_surrogates(truncate(printable(record.levelname), _LONGEST_LEVEL).lower())
    ).decode()[1:-1]


def _format_bound(bound: BoundFields, redactor: Redactor) -> tuple[object, str]:
    """Format bound fields; the result is valid until they change."""
    fields: dict[str, object] = {}
    add_fields(fields, bound.fields, redactor)
    return redactor, _fragment(fields)


def _fragment(fields: Mapping[str, object]) -> str:
    """Format fields as the continuation of a JSON object."""
    return f",{orjson.dumps(fields).decode()[1:-1]}" if fields else ""


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _last_resort(record: logging.LogRecord) -> str:
    """Return a line with the least fields, for a record that no logger makes."""
    second = time.time()
    document = {
        "@timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{int(second % 1 * 1000):03d}Z",
        "log.level": truncate(
            _represented(getattr(record, "levelname", "error")).strip("'"), _LONGEST_LEVEL
        ).lower(),
        "message": shared.redactor.text(_represented(getattr(record, "msg", ""))),
        "ecs.version": ECS_VERSION,
        "process.pid": os.getpid(),
    }
    return json.dumps(document)
