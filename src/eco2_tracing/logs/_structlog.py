"""ECS documents from structlog."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import cast

from eco2_tracing._guard import warn_once
from eco2_tracing._redaction import printable, truncate
from eco2_tracing.logs._context import capture_context, context_of, ids_on
from eco2_tracing.logs._exceptions import error_fields, exc_info_of, ids_of
from eco2_tracing.logs._fields import ECS_VERSION, add_fields
from eco2_tracing.logs._json import escape_surrogates
from eco2_tracing.logs._messages import rendered_error
from eco2_tracing.logs._shared import shared

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
    document: dict[str, object] = {
        "@timestamp": stamp if isinstance(stamp, str) else _now(),
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
    ids = context.ids
    if ids is None and exc_info is not None:
        ids = ids_of(exc_info[1])
    if ids is None and record is not None:
        ids = ids_on(record, context)
    if ids is not None:
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
    frame = sys._getframe(2) if hasattr(sys, "_getframe") else None
    for _ in range(_MOST_FRAMES):
        if frame is None:
            break
        if frame.f_code.co_name == "format" and frame.f_globals.get("__name__") == "structlog.stdlib":
            found = frame.f_locals.get("record")
            return found if isinstance(found, logging.LogRecord) else None
        frame = frame.f_back
    return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
