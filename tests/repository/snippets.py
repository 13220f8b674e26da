"""The fenced blocks of README and `docs/`, and the comments above them.

`<!-- needs: structlog -->` anywhere skips a page's blocks where a module is absent. `<!-- file: shop.py -->` above a
block names the file that it stands for. `<!-- not run: reason -->` above a block leaves it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.repository.sources import ROOT

PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<kind>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
NEEDS = re.compile(r"^<!-- needs: (.*) -->$", re.MULTILINE)
NOTE = re.compile(r"<!-- (file|not run): (.*?) -->\s*\Z")
SHELLS = frozenset({"console", "sh", "bash", "shell"})


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        line: The line of its first text.
        kind: Its language.
        text: What it contains, without the indentation of the fence.
        file: The name of the file that it stands for; empty for none.
        not_run: Why it is not run; empty if it is.
    """

    line: int
    kind: str
    text: str
    file: str = ""
    not_run: str = ""


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page."""
    for found in FENCE.finditer(text):
        note = NOTE.search(text, 0, found.start())
        kind, value = note.groups() if note else ("", "")
        indent = len(found["indent"])
        lines = [line[indent:] for line in found["text"].splitlines(keepends=True)]
        line = text.count("\n", 0, found.start("text")) + 1
        language = {"py": "python", "yml": "yaml"}.get(found["kind"], found["kind"])
        yield Block(
            line,
            language,
            "".join(line if line.strip() else "\n" for line in lines),
            value if kind == "file" else "",
            value if kind == "not run" else "",
        )


def of(page: Path, *kinds: str) -> list[Block]:
    """The blocks of a page that are of these kinds."""
    return [block for block in blocks(page.read_text(encoding="utf-8")) if block.kind in kinds]


def require(page: Path) -> None:
    """Skip where a module that a page needs is absent."""
    for needed in NEEDS.findall(page.read_text(encoding="utf-8")):
        for module in needed.split(", "):
            pytest.importorskip(module)


def name(page: Path) -> str:
    """A page's path in the repository."""
    return str(page.relative_to(ROOT))
