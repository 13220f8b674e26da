"""Messages and events that are dictionaries: of the application, and of structlog."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import NamedTuple, cast

from eco2_tracing._guard import attempt_silently, warn_once
from eco2_tracing._redaction import printable, truncate
from eco2_tracing.logs._context import capture_context, context_of, ids_on, is_in_call, outer_frames
from eco2_tracing.logs._exceptions import error_fields, exc_info_of, ids_of
from eco2_tracing.logs._fields import ECS_VERSION, add_fields
from eco2_tracing.logs._json import escape_surrogates
from eco2_tracing.logs._shared import shared

_LONGEST_STEP_S = 5.0


class DictMessage(NamedTuple):
    """The parts of a dictionary that was logged as message."""

    text: object
    fields: dict[str, object]  # the other items, which are handled as those of `extra`
    exc_info: object = None  # in any form that `logging` accepts
    exception: object = None  # the same, rendered by a processor of structlog
    stack: object = None


def dict_message(record: logging.LogRecord) -> DictMessage | None:
    """Return the parts of the message of a record, if it is no text with arguments; ``None`` if it is no dictionary.

    A queue's handler turns the dictionary into text. `ContextRecord.eco2_message` is then the dictionary.
    """
    message: object = record.msg
    if type(message) is str:
        message = getattr(record, "eco2_message", None)
        if message is None or str(message) != record.msg:  # a filter has changed the text
            return None
    if not issubclass(type(message), dict):
        return None
    fields: dict[str, object] = dict(message)  # type: ignore[call-overload]  # it is a dictionary
    if "event" in fields and "_logger" in record.__dict__ and "_name" in record.__dict__:
        return _of_structlog(record, fields)
    return DictMessage(fields.pop("message", ""), fields) if type(message) is dict else None


def _of_structlog(record: logging.LogRecord, event: dict[str, object]) -> DictMessage:
    """Return the parts of an event that `structlog.stdlib.ProcessorFormatter.wrap_for_formatter` put into a record."""
    text = event.pop("event")
    exc_info = event.pop("exc_info", None)
    if exc_info is True:  # the exception being handled; a thread that formats later handles another one
        exc_info = sys.exception() if is_in_call(record) else None
    exception, stack = event.pop("exception", None), event.pop("stack", None)
    if str(event.get("level")).upper() == record.levelname:
        del event["level"]
    if event.get("logger") == record.name:
        del event["logger"]
    if _is_time(event.get("timestamp"), record.created):
        del event["timestamp"]
    return DictMessage(text, event, exc_info or None, exception, stack)


def _is_time(stamp: object, created: float) -> bool:
    """Return True for the value of `structlog.processors.TimeStamper`, in UTC or local time."""
    try:
        moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else float(stamp)  # type: ignore[arg-type]  # caught
    except (ValueError, TypeError):
        return False
    if isinstance(moment, float):
        times = [moment]
    else:
        times = [moment.timestamp(), moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()]
    return any(abs(time - created) < _LONGEST_STEP_S for time in times)


def rendered_error(exception: object, exc_info: object) -> tuple[str | None, dict[str, object]]:
    """Read an exception that a processor of structlog has rendered, unless there is the exception itself.

    It is the text of `format_exc_info`, or the list of `dict_tracebacks`.

    Returns:
        The traceback as text; and `error.type` and `error.message`, if they are known.
    """
    if not exception or exc_info is not None:
        return None, {}
    text: tuple[str | None, dict[str, object]] = (printable(exception), {})
    if isinstance(exception, list | tuple):  # a list of another shape is written as text
        return attempt_silently(_of_dict_tracebacks, exception, default=text)
    return text


def _of_dict_tracebacks(
    exceptions: list[Mapping[str, object]] | tuple[Mapping[str, object], ...],
) -> tuple[str | None, dict[str, object]]:
    first = exceptions[0]
    fields = {"error.type": first["exc_type"], "error.message": first["exc_value"]}
    return "\n\n".join(map(_traceback, reversed(exceptions))), fields


def _traceback(exception: Mapping[str, object]) -> str:
    """Format one exception of `dict_tracebacks` as Python does. Values of variables are left out."""
    frames: object = exception["frames"]
    lines = [
        f'  File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}'
        for frame in frames  # type: ignore[attr-defined]  # the caller catches what is no list of frames
    ]
    return "\n".join(
        ["Traceback (most recent call last):", *lines, f"{exception['exc_type']}: {exception['exc_value']}"]
    )


_formatter = logging.Formatter()
_MOST_FRAMES = 10


def structlog_processor(
    logger: object, method_name: str, event_dict: MutableMapping[str, object]
) -> dict[str, object]:
    """Turn a structlog event into an ECS document with trace ids and masked secrets.

    Place it right before ``structlog.processors.JSONRenderer()``.

    Args:
        logger: Not used.
        method_name: The level, unless the event has one.
        event_dict: The event. `event`, `level`, `logger`, `timestamp`, `exception`, `exc_info` and `stack` get their
            ECS names. Other items are handled as the `extra` of a log call.

    Returns:
        A new dictionary in ECS order. Any JSON encoder accepts it.

    Examples:
        >>> processors = [
        ...     structlog.stdlib.add_log_level,
        ...     structlog_processor,
        ...     structlog.processors.JSONRenderer(),
        ... ]
        >>> structlog.configure(processors=processors)
    """
    kind: type = type(event_dict)
    if not issubclass(kind, Mapping):  # a renderer before this processor has formatted the event
        message = "structlog_processor was given a %s: put it before the renderer"
        warn_once("structlog:order", message, kind.__name__)
        return cast("dict[str, object]", event_dict)
    event = dict(event_dict)
    record = _record(event)
    event.pop("_from_structlog", None)
    context = capture_context(None) if record is None else context_of(record)
    redactor = shared.redactor
    message = escape_surrogates(redactor.text(printable(event.pop("event", ""))))
    stamp = event.pop("timestamp", None)
    if not isinstance(stamp, str):
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    document: dict[str, object] = {
        "@timestamp": stamp,
        "log.level": escape_surrogates(truncate(printable(event.pop("level", method_name)), 64)).lower(),
        "message": message,
        "ecs.version": ECS_VERSION,
    }
    name = event.pop("logger", None) or event.pop("logger_name", None)
    if name is not None:
        document["log.logger"] = escape_surrogates(redactor.name(name))
    document.update(shared.service)
    given = event.pop("exc_info", None)
    exc_info = exc_info_of(sys.exception() if given is True else given)
    ids = context.ids or (exc_info and ids_of(exc_info[1])) or (record and ids_on(record, context))
    if ids:
        document["trace.id"], document["span.id"] = ids
    text, rendered = rendered_error(event.pop("exception", None), exc_info)
    stack = event.pop("stack", None)
    stack_text = printable(stack) if stack else None
    fields = error_fields(exc_info, text, stack_text, _formatter.formatException, redactor)
    bound = {} if context.bound is None else context.bound.fields
    add_fields(fields, {**bound, **rendered, **event}, redactor)
    document.update(fields)
    return document


def _record(event: dict[str, object]) -> logging.LogRecord | None:
    """Return the record that `structlog.stdlib.ProcessorFormatter` is formatting, if it is.

    The formatter puts the record into the event. `remove_processors_meta` removes it again; then the record is a
    variable of the formatter's frame.
    """
    given = event.pop("_record", None)
    if isinstance(given, logging.LogRecord):
        return given
    for frame in outer_frames(_MOST_FRAMES):
        if frame.f_code.co_name == "format" and frame.f_globals.get("__name__") == "structlog.stdlib":
            found = frame.f_locals.get("record")
            return found if isinstance(found, logging.LogRecord) else None
    return None
