"""The text of one local trace: one line when all is well, the tree when it failed or was slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from eco2_tracing._console.curl import curl
from eco2_tracing._console.exceptions import exception_lines
from eco2_tracing._console.lines import parse_lines
from eco2_tracing._console.rows import LocalTrace, duration
from eco2_tracing._console.summary import SummaryLine
from eco2_tracing._console.terminal import DIM, RED, UNLIMITED, YELLOW, Screen, escaped, fitted
from eco2_tracing._console.tree import Tree, service_colours

Detail = Literal["errors", "all", "tree"]
"""Which traces are printed, and how: see `Waterfall`."""

SLOW_MS = 1000.0
"""Milliseconds from which a local trace is slow if no threshold is configured."""


class Waterfall:
    """Formats local traces.

    Args:
        detail: ``errors`` for failed and slow traces alone; ``all`` for one line about each other trace; ``tree`` for a
            tree of every trace.
        target: The address of a trace, with ``{trace_id}``; empty without one.
        slow_ms: Milliseconds from which a trace is slow although it was not kept for that; ``None`` for never.
    """

    def __init__(
        self, detail: Detail = "all", target: str = "", slow_ms: float | None = SLOW_MS, indent: str = "  "
    ) -> None:
        self._detail = detail
        self._summary = SummaryLine(target)
        self._slow_ms = slow_ms
        self._indent = indent

    def text(self, trace: LocalTrace, lines: Sequence[str], screen: Screen) -> str:
        """Return whole lines; an empty text for a trace that is not printed.

        Args:
            trace: The local trace.
            lines: Its log lines, as ECS JSON.
            screen: The layout.
        """
        failed, slow = self._failed(trace), self._slow(trace)
        remarkable = failed or slow
        if self._detail == "errors" and not remarkable:
            return ""
        summary = self._summary.of(trace, screen)
        if self._detail != "tree" and not remarkable:
            return f"{summary}\n"
        inner = Screen(
            colour=False, width=(screen.width or UNLIMITED) - len(self._indent), links=screen.links
        )
        inner.paint = screen.paint
        services = dict.fromkeys(row.service for row in trace.rows if row.service)
        drawn = Tree(trace.rows, parse_lines(lines), inner, service_colours(tuple(services))).draw()
        drawn += self._below(trace, inner, slow=slow)
        return "\n".join([summary, *(f"{self._indent}{line}" for line in drawn), ""])

    @staticmethod
    def _failed(trace: LocalTrace) -> bool:
        if trace.reason == "error" or trace.root.failed:
            return True
        # A part has no reason. A client span of a 4xx response is no failure in a whole trace either.
        return not trace.reason and any(row.failed for row in trace.rows)

    def _slow(self, trace: LocalTrace) -> bool:
        if trace.reason == "slow":
            return True
        root, limit = trace.root, self._slow_ms
        if limit is None or root.attributes.get("url.scheme") in ("ws", "wss"):
            return False
        return root.end - root.start >= limit * 1_000_000

    def _below(self, trace: LocalTrace, screen: Screen, *, slow: bool) -> list[str]:
        paint, width = screen.paint, screen.width or UNLIMITED
        exceptions = exception_lines(trace.rows)
        drawn = [paint(fitted(line, width), DIM if line.startswith(" ") else RED) for line in exceptions]
        drawn.append(paint(fitted(f"kept: {self._why(trace, slow=slow)}", width), YELLOW))
        command = curl(trace.root)
        if command:
            drawn.append(paint(command, DIM))  # in one piece: a shortened command could not be repeated
        return drawn

    def _why(self, trace: LocalTrace, *, slow: bool) -> str:
        if trace.late:
            return "these spans ended after their request"
        if not trace.reason:
            return "a part of a trace whose local root has not ended"
        took = duration(trace.root.end - trace.root.start)
        if trace.reason == "head":
            return f"sampled; slow, it took {took}" if slow else "sampled"
        if trace.reason == "slow":
            return f"slow, it took {took}"
        if trace.reason == "upstream":
            return "a called service kept its part of the trace"
        return escaped(trace.reason)
