"""ECS documents from structlog."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from types import TracebackType

from eco2_tracing._redaction import cut, printable
from eco2_tracing.logs._exceptions import ExcInfo, error_fields, ids_of
from eco2_tracing.logs._fields import ECS_VERSION, add_fields
from eco2_tracing.logs._plain import repaired
from eco2_tracing.logs._request import current
from eco2_tracing.logs._shared import shared
from eco2_tracing.logs._trace import current_ids

_formatter = logging.Formatter()


def structlog_processor(
    logger: object,
    method_name: str,
    event_dict: MutableMapping[str, object],
) -> dict[str, object]:
    """Turn a structlog event into an ECS document, with trace ids and without secrets.

    A processor: the last but one, before ``structlog.processors.JSONRenderer()``.

    Args:
        logger: Not used.
        method_name: The level, unless the event has one.
        event_dict: The event. `event`, `level`, `logger`, `timestamp`, `exception`, `exc_info` and
            `stack` get their ECS names; the rest is treated as the `extra` of a log call.

    Returns:
        A new dictionary that any JSON encoder takes, in ECS order.
    """
    event = dict(event_dict)
    redactor = shared.redactor
    message = repaired(redactor.text(printable(event.pop("event", ""))))
    stamp = event.pop("timestamp", None)
    document: dict[str, object] = {
        "@timestamp": stamp if isinstance(stamp, str) else _now(),
        "log.level": repaired(cut(printable(event.pop("level", method_name)), 64)).lower(),
        "message": message,
        "ecs.version": ECS_VERSION,
    }
    name = event.pop("logger", None) or event.pop("logger_name", None)
    if name is not None:
        document["log.logger"] = repaired(redactor.name(name))
    document.update(shared.service)
    exc_info = _raised(event.pop("exc_info", None))
    ids = current_ids()
    if ids is None and exc_info is not None and (kept := ids_of(exc_info[1])) is not None:
        ids = (f"{kept[0]:032x}", f"{kept[1]:016x}")
    if ids is not None:
        document["trace.id"], document["span.id"] = ids
    text = event.pop("exception", None) or event.pop("stack", None)
    fields = error_fields(exc_info, printable(text) if text else None, _traceback, redactor)
    request = current.get()
    bound = request.fields if request is not None and request.fields else {}
    add_fields(fields, {**bound, **event}, redactor)
    document.update(fields)
    return document


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _raised(given: object) -> ExcInfo | None:
    """Read structlog's `exc_info`: an exception, a triple, or ``True`` for the one being handled."""
    error: object = given
    if isinstance(given, tuple) and len(given) == 3:
        error = given[1]
    elif given is True:
        error = sys.exception()
    if not isinstance(error, BaseException):
        return None
    traceback: TracebackType | None = error.__traceback__
    return (type(error), error, traceback)


def _traceback(exc_info: ExcInfo) -> str:
    return _formatter.formatException(exc_info)
