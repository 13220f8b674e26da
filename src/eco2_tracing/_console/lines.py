"""ECS log lines as text for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

import orjson

from eco2_tracing._console.terminal import BOLD_RED, CYAN, DIM, RED, YELLOW, Paint, escaped, fitted

LogLine = dict[str, object]
"""The fields of one line by their dotted names."""

_LEVELS = {"warning": YELLOW, "error": BOLD_RED, "critical": BOLD_RED, "debug": DIM}
_ACCESS_FIELDS = ("http.request.method", "url.path", "http.response.status_code")
_ACCESS = ("http.", "url.", "client.", "user_agent.", "event.outcome", "event.duration")
# Fields that have a place of their own, or that are the same on every line.
_PLACED = frozenset(
    {
        "@timestamp", "log.level", "message", "ecs.version", "log.logger", "process.pid", "process.thread.name",
        "service.name", "service.version", "service.environment", "service.node.name", "trace.id", "span.id",
        "error.type", "error.message", "error.stack_trace",
    }
)  # fmt: skip
_NOISE = frozenset({"httpx", "httpx2"})
_LABELS = "labels."
_SHORT_ID = 8


def parse_lines(lines: Iterable[str]) -> tuple[LogLine, ...]:
    """Return the lines that are ECS JSON, in order; other lines are left out."""
    parsed = []
    for line in lines:
        try:
            fields = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict) and "@timestamp" in fields:
            parsed.append(flat(fields))
    return tuple(parsed)


def flat(fields: Mapping[str, object], prefix: str = "") -> LogLine:
    """Return nested objects as dotted names."""
    found: LogLine = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def is_noise(line: LogLine) -> bool:
    """Return True for a line about an outgoing call, which has a span, and for an access line."""
    return line.get("log.logger") in _NOISE or is_access(line)


def is_access(line: LogLine) -> bool:
    """Return True for an access line of a server."""
    return all(key in line for key in _ACCESS_FIELDS) and str(line.get("log.logger")).endswith("access")


def moment_of(line: LogLine) -> int:
    """Return the nanoseconds since the epoch at which a line was logged; 0 if it has no time."""
    try:
        return int(datetime.fromisoformat(str(line["@timestamp"])).timestamp() * 1000) * 1_000_000
    except (ValueError, OverflowError, OSError):
        return 0


def local_time(line: LogLine) -> str:
    """Return ``HH:MM:SS.mmm`` in local time."""
    try:
        moment = datetime.fromisoformat(str(line["@timestamp"])).astimezone()
    except (ValueError, OverflowError, OSError):
        return escaped(str(line["@timestamp"]))
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def level_of(line: LogLine, paint: Paint) -> str:
    """Return the level in capitals, padded."""
    level = str(line.get("log.level", ""))
    return paint(f"{escaped(level.upper()):<7}", _LEVELS.get(level, ""))


def message_of(line: LogLine) -> str:
    """Return the escaped message; of an access line only method, path and status."""
    if is_access(line):
        return escaped(" ".join(str(line[key]) for key in _ACCESS_FIELDS))
    return escaped(str(line.get("message", "")))


def error_of(line: LogLine) -> str:
    """Return type and message of the exception, or an empty text."""
    if "error.type" not in line:
        return ""
    kind = str(line["error.type"]).rpartition(".")[2]
    return escaped(f"{kind}: {line.get('error.message', '')}")


def fields_of(line: LogLine) -> str:
    """Return the fields of the application as ``key=value``, escaped."""
    left_out = _ACCESS if is_access(line) else ()
    return " ".join(
        f"{escaped(key.removeprefix(_LABELS))}={_value(value)}"
        for key, value in line.items()
        if key not in _PLACED and not key.startswith(left_out or "\0")
    )


def _value(value: object) -> str:
    """Return a value as it is written: quoted where it would not be one word."""
    if isinstance(value, str):
        text = escaped(value)
        return text if text and not set(text) & set(" \"'=") else json.dumps(text, ensure_ascii=False)
    return escaped(orjson.dumps(value).decode())


def tree_line(line: LogLine, paint: Paint, width: int) -> str:
    """Return one line of a tree: time, level, message, exception and fields, shortened to a width."""
    head = f"{local_time(line)} "
    level = level_of(line, paint)
    left = width - len(head) - 8
    text = f"{paint(head[:-1], DIM)} {level} " if left >= 10 else ""
    left = left if text else width
    message = fitted(message_of(line), left)
    text += message
    for part, style in ((error_of(line), RED), (fields_of(line), DIM)):
        left -= len(message) + 2
        message = fitted(part, left)
        if message:
            text += f"  {paint(message, style)}"
    return text


def text_line(line: LogLine, paint: Paint) -> str:
    """Return a line as text: time, level, logger, message, fields and short trace id; the traceback follows in lines.

    Args:
        line: The fields.
        paint: Adds colours.
    """
    fields = fields_of(line)
    trace = str(line.get("trace.id", ""))[:_SHORT_ID]
    logger = escaped(str(line.get("log.logger", "")))
    error, stack = error_of(line), line.get("error.stack_trace")
    parts = [
        f"{paint(local_time(line), DIM)} {level_of(line, paint)} {paint(logger, CYAN)}",
        message_of(line),
    ]
    if error and not stack:
        parts.append(paint(error, RED))
    if fields:
        parts.append(paint(fields, DIM))
    if trace:
        parts.append(paint(escaped(trace), DIM))
    text = "  ".join(parts)
    if not stack:
        return text
    below = [f"    {escaped(each)}" for each in str(stack).rstrip("\n").split("\n")]
    below[-1] = paint(below[-1], RED)
    return "\n".join([text, *below])
