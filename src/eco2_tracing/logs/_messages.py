"""Messages that are dictionaries: of the application, and of structlog."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from eco2_tracing._guard import attempt_silently
from eco2_tracing._redaction import printable
from eco2_tracing.logs._context import is_in_call

_LONGEST_STEP_S = 5.0


class DictMessage(NamedTuple):
    """The parts of a dictionary that was logged as message.

    Attributes:
        text: The message.
        fields: The other items. They are handled as those of `extra`.
        exc_info: An exception, in any form that `logging` accepts.
        exception: The same, rendered by a processor of structlog.
        stack: A stack, as text.
    """

    text: object
    fields: dict[str, object]
    exc_info: object = None
    exception: object = None
    stack: object = None


def dict_message(record: logging.LogRecord) -> DictMessage | None:
    """Return the parts of a record's message; ``None`` if it is no dictionary.

    A queue's handler turns the dictionary into text. `ContextRecord.eco2_message` is then the dictionary.

    Args:
        record: A record whose message is no text with arguments.
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
    elif moment.tzinfo is None:
        times = [moment.timestamp(), moment.replace(tzinfo=UTC).timestamp()]
    else:
        times = [moment.timestamp()]
    return any(abs(time - created) < _LONGEST_STEP_S for time in times)


def rendered_error(exception: object, exc_info: object) -> tuple[str | None, dict[str, object]]:
    """Read an exception that a processor of structlog has rendered.

    Args:
        exception: The text of `format_exc_info`, or the list of `dict_tracebacks`.
        exc_info: The exception itself. If there is one, nothing is read.

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
