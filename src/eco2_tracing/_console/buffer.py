"""The log lines of recent traces, until the waterfall of their trace is printed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from eco2_tracing._native import RLock

_LINES_PER_TRACE = 100
_MOST_TRACES = 1_000
_MOST_CHARACTERS = 2 * 1024 * 1024
_FIELD = '"trace.id":"'
_ID = slice(len(_FIELD), len(_FIELD) + 32)
_SPAN = '"span.id":"'


class LogBuffer:
    """Keeps ECS lines by trace id: bounded in traces, in lines of a trace and in characters. The oldest go first.

    Args:
        traces: The most traces.
        characters: The most characters of all lines.
    """

    def __init__(self, traces: int = _MOST_TRACES, characters: int = _MOST_CHARACTERS) -> None:
        self._most = (traces, characters)
        self.reset()

    def reset(self) -> None:
        """Forget every line and the lock, as in a forked child."""
        self._lock = RLock()
        self._lines: dict[str, deque[str]] = {}
        self._characters = 0

    def add(self, line: str) -> None:
        """Keep one line of ECS JSON, if it has a trace id. Takes about 1 µs.

        Args:
            line: The line. Quotation marks in its values are escaped, so that no value looks like the field.
        """
        at = line.find(_FIELD)
        if at < 0:
            return
        trace_id = line[at : at + _ID.stop][_ID]
        with self._lock:
            lines = self._lines.get(trace_id)
            if lines is None:
                lines = self._lines[trace_id] = deque()
            lines.append(line)
            self._characters += len(line)
            if len(lines) > _LINES_PER_TRACE:
                self._characters -= len(lines.popleft())
            traces, characters = self._most
            while len(self._lines) > traces or (self._characters > characters and self._lines):
                self._drop(next(iter(self._lines)))

    def take(self, trace_id: int, span_ids: Iterable[int]) -> list[str]:
        """Remove and return the lines of some spans of a trace, oldest first, and those without a span.

        The others belong to another local trace of this process with the same trace id, as in a call to itself.
        """
        wanted = {f"{span_id:016x}" for span_id in span_ids}
        with self._lock:
            taken: list[str] = []
            for line in self._drop(f"{trace_id:032x}"):
                span_id = _span_id(line)
                if not span_id or span_id in wanted:
                    taken.append(line)
                else:
                    self.add(line)
            return taken

    def _drop(self, trace_id: str) -> deque[str]:
        lines = self._lines.pop(trace_id, deque())
        self._characters -= sum(map(len, lines))
        return lines


def _span_id(line: str) -> str:
    at = line.find(_SPAN)
    return line[at + len(_SPAN) : at + len(_SPAN) + 16] if at >= 0 else ""
