"""Trees of spans as the documentation shows them: service and name, without times and ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eco2_tracing.testing import ReceivedSpan, ReceivedTrace

ROOT = Path(__file__).parents[2]


def drawn(trace: ReceivedTrace) -> str:
    """A trace, a line for each span, children below their parent in the order of their start."""
    lines: list[str] = []

    def draw(spans: Sequence[ReceivedSpan], before: str) -> None:
        for number, span in enumerate(spans, 1):
            last = number == len(spans)
            lines.append(f"{before}{'└─ ' if last else '├─ '}{span.service}  {span.name}")
            draw(trace.children(span), before + ("   " if last else "│  "))

    for top in trace.tops:
        lines.append(f"{top.service}  {top.name}")
        draw(trace.children(top), "")
    return "\n".join(lines) + "\n"


def assert_shown(trace: ReceivedTrace, page: str) -> None:
    """Fail unless a page of the documentation shows a tree of this trace's spans."""
    tree = drawn(trace)
    print(tree)
    text = (ROOT / page).read_text()
    assert f"```text\n{tree}```" in text, f"{page} does not show this tree:\n{tree}"
