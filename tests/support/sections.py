"""Pages of the documentation: their sections, blocks and tables."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from tests.repository import snippets

DOCS = Path(__file__).parents[2] / "docs"
SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class Page:
    """A page.

    Args:
        name: Its path below `docs/`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def text(self) -> str:
        """All of it."""
        return (DOCS / self.name).read_text(encoding="utf-8")

    def section(self, title: str) -> str:
        """The text below a heading of the second level."""
        found = dict(SECTION.findall(self.text))
        assert title in found, f"docs/{self.name} has no section {title!r}, only {sorted(found)}"
        return found[title]

    def blocks(self, kind: str, title: str | None = None) -> list[str]:
        """The fenced blocks of a language, of one section or of the whole page."""
        text = self.text if title is None else self.section(title)
        return [block.text for block in snippets.blocks(text) if block.kind == kind]

    @property
    def first_rows(self) -> list[list[str]]:
        """The rows of the table above the first heading of the second level."""
        return cells(self.text.partition("\n## ")[0])

    def rows(self, title: str) -> list[list[str]]:
        """The rows of a section's first table."""
        return cells(self.section(title))


def cells(text: str) -> list[list[str]]:
    """The cells of each row of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def row(cells: list[str]) -> str:
    """A row of a table as it stands on a page."""
    return f"| {' | '.join(cells)} |"
