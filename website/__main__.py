"""Writes the generated pages of `docs/`: `python -m website`."""

from __future__ import annotations

from pathlib import Path

from website import command_line_page, settings_page

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"reference/settings.md": settings_page.page, "reference/command-line.md": command_line_page.page}


def main() -> None:
    """Write each page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
