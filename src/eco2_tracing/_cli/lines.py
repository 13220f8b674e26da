"""ECS log lines laid out for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from rich.text import Text

LogLine = dict[str, object]

_LEVELS = {"warning": ("WARN", "yellow"), "error": ("ERROR", "bold red"), "critical": ("FATAL", "bold red")}
_NOISE = {"httpx", "httpx2"}  # loggers with a line for each call, which has a span
# Fields that have a column, or that are the same on every line.
_SHOWN = ("@timestamp", "message", "log.", "ecs.", "service.", "trace.", "span.", "process.", "event.")
_LEFT_OUT = ("error.", "url.", "http.", "client.", "user_agent.", "labels.color_message")


def parse_lines(lines: Iterable[str]) -> tuple[LogLine, ...]:
    """The lines that are ECS JSON, in order; other lines are left out."""
    parsed = []
    for line in lines:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict) and "@timestamp" in fields:
            parsed.append(flat(fields))
    return tuple(parsed)


def flat(fields: Mapping[str, object], prefix: str = "") -> LogLine:
    """Nested objects as dotted names."""
    found: LogLine = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def _message(line: LogLine) -> str:
    """The message; of an access log line only method, path and status."""
    asked = [line.get(key) for key in ("http.request.method", "url.path", "http.response.status_code")]
    return str(line.get("message", "")) if None in asked else " ".join(map(str, asked))


def _extras(line: LogLine) -> str:
    if "http.request.method" in line:
        return ""
    wanted = {key: value for key, value in line.items() if not key.startswith((*_SHOWN, *_LEFT_OUT))}
    return " ".join(f"{key.removeprefix('labels.')}={value}" for key, value in wanted.items())


def log_lines(lines: Iterable[LogLine], colour: Mapping[str, str], width: int) -> Text:
    """Lay log lines out: time, level, service, message and the other fields.

    Args:
        lines: The result of `parse_lines`.
        colour: The colour of each service.
        width: Cells of a line; longer lines are truncated.
    """
    column = max((len(service) for service in colour), default=0)
    return Text("\n").join(_laid_out(line, colour, column, width) for line in lines if not _is_noise(line))


def _is_noise(line: LogLine) -> bool:
    return line.get("log.logger") in _NOISE


def _laid_out(line: LogLine, colour: Mapping[str, str], column: int, width: int) -> Text:
    found, service = str(line.get("log.level", "")), str(line.get("service.name", ""))
    level, style = _LEVELS.get(found.lower(), (found.upper()[:5], "dim"))
    text = Text(str(line["@timestamp"])[11:23], style="dim")
    text.append(f" {level:<5} ", style=f"not dim {style}" if style != "dim" else "")
    text.append(f"{service:<{column}}  ", style=f"not dim {colour.get(service, '')}")
    text.append(_message(line), style="not dim")
    if "error.type" in line:
        kind = str(line["error.type"]).rpartition(".")[2]
        text.append(f" {kind}: {line.get('error.message', '')}", style="not dim red")
    text.append(f"  {_extras(line)}".rstrip())
    text.truncate(width, overflow="ellipsis")
    return text
