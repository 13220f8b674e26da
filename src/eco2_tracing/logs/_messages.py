"""Messages that are dictionaries: of the application, and of structlog."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from eco2_tracing._redaction import printable
from eco2_tracing.logs._context import is_in_call

_LONGEST_STEP_S = 5.0


class DictMessage(NamedTuple):
    """What a dictionary says, in the parts of a line.

    Attributes:
        text: The message.
        fields: What goes where `extra` goes.
        exc_info: An exception, in any form that `logging` takes.
        exception: The same, where a processor has rendered it.
        stack: A stack, as text.
    """

    text: object
    fields: dict[str, object]
    exc_info: object = None
    exception: object = None
    stack: object = None


def dict_message(record: logging.LogRecord) -> DictMessage | None:
    """Read a record whose message is a dictionary, also where a queue's handler has made text of it.

    Args:
        record: Any record but a text with arguments, which `QueueHandler.prepare` takes away; ``None`` is returned
            for most.
    """
    message: object = record.msg
    if type(message) is str:
        message = getattr(record, "eco2_message", None)
        if message is None or str(message) != record.msg:  # a filter may have changed the text, for a reason
            return None
    if not issubclass(type(message), dict):
        return None
    fields: dict[str, object] = dict(message)  # type: ignore[call-overload]  # it is a dictionary
    if "event" in fields and "_logger" in record.__dict__ and "_name" in record.__dict__:
        return _of_structlog(record, fields)
    return DictMessage(fields.pop("message", ""), fields) if type(message) is dict else None


def _of_structlog(record: logging.LogRecord, event: dict[str, object]) -> DictMessage:
    """Read the event that `structlog.stdlib.ProcessorFormatter.wrap_for_formatter` put into a record."""
    text = event.pop("event")
    given = event.pop("exc_info", None)
    if given is True:  # the exception being handled; whoever writes the line later handles another
        given = sys.exception() if is_in_call(record) else None
    exception, stack = event.pop("exception", None), event.pop("stack", None)
    if str(event.get("level")).upper() == record.levelname:
        del event["level"]
    if event.get("logger") == record.name:
        del event["logger"]
    if _is_time(event.get("timestamp"), record.created):
        del event["timestamp"]
    return DictMessage(text, event, given or None, exception, stack)


def _is_time(stamp: object, created: float) -> bool:
    """Tell whether `structlog.processors.TimeStamper` wrote this, in UTC or local time, and not the application."""
    try:
        moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else float(stamp)  # type: ignore[arg-type]
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
        exception: Text of `format_exc_info`, or what `dict_tracebacks` makes.
        exc_info: The exception itself; nothing is read where it is there.

    Returns:
        The traceback as text, and `error.type` and `error.message` where they are known.
    """
    if not exception or exc_info is not None:
        return None, {}
    if isinstance(exception, list | tuple) and all(isinstance(each, Mapping) for each in exception):
        try:
            first = exception[0]
            fields = {"error.type": first["exc_type"], "error.message": first["exc_value"]}
            return "\n\n".join(map(_rendered, reversed(exception))), fields
        except Exception:  # noqa: BLE001 - of another shape than structlog's
            return printable(exception), {}
    return printable(exception), {}


def _rendered(exception: Mapping[str, object]) -> str:
    """Write one exception of `dict_tracebacks` as Python does; values of variables stay out."""
    frames: object = exception["frames"]
    lines = [
        f'  File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}'
        for frame in frames  # type: ignore[attr-defined]
    ]
    return "\n".join(
        ["Traceback (most recent call last):", *lines, f"{exception['exc_type']}: {exception['exc_value']}"]
    )
