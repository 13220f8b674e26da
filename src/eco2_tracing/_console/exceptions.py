"""The last frames of a recorded exception."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eco2_tracing._console.terminal import escaped
from eco2_tracing._guard import attempt_silently

if TYPE_CHECKING:
    from eco2_tracing._console.rows import Row

_FRAMES = 3
_EXCEPTIONS = 2
_LONGEST_TEXT = 16 * 1024
_FRAME = re.compile(r'\s*(?:[|+]\s*)*File "([^"]*)", (line .*)')
_LIBRARY = re.compile(
    r"^.*[/\\](?:site-packages|dist-packages|python3\.\d+|src[/\\]eco2_tracing)[/\\]|^<frozen "
)
_KEYS = ("type", "message", "stacktrace")


def exception_lines(rows: Sequence[Row]) -> list[str]:
    """Return the exceptions of a local trace: for each its type and message, and its last frames.

    Args:
        rows: The spans, ordered by their start.
    """
    lines: list[str] = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        for event in row.events if row.failed else ():
            if event.name != "exception" or len(seen) >= _EXCEPTIONS:
                continue
            attributes = event.attributes or {}
            name, message, stack = (str(attributes.get(f"exception.{key}", "")) for key in _KEYS)
            if (name, message) not in seen:
                seen.add((name, message))
                lines.append(escaped(f"{name}: {message}" if message else name))
                lines += [f"  {escaped(each)}" for each in last_frames(stack[-_LONGEST_TEXT:])]
    return lines


def last_frames(stack: str) -> list[str]:
    """Return the last frames of a traceback: those of the application, and the one that raised.

    Each is two lines: its place and, indented, its source. Paths are relative to the working directory, those of
    libraries to their folder.
    """
    lines = stack.split("\n")
    frames = [(at, found) for at, line in enumerate(lines) if (found := _FRAME.match(line))]
    own = [frame for frame in frames if not _LIBRARY.search(frame[1][1])]
    chosen = own[-_FRAMES:]
    if frames and frames[-1] not in chosen:
        chosen = [*chosen[1 - _FRAMES :], frames[-1]]
    here = attempt_silently(os.getcwd, default="") + os.sep
    shown: list[str] = []
    for at, frame in chosen:
        path = _LIBRARY.sub("", frame[1]).removeprefix(here)
        shown.append(f'File "{path}", {frame[2]}')
        source = lines[at + 1].lstrip(" |+") if at + 1 < len(lines) else ""
        if source and not _FRAME.match(source) and lines[at + 1].startswith(" "):
            shown.append(f"  {source}")
    return shown
