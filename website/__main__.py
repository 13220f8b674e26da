"""Writes the generated pages and pictures of `docs/`: `python -m website`."""

from __future__ import annotations

from pathlib import Path

from website import command_line_page, pictures, settings_page

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {
    "reference/settings.md": settings_page.page,
    "reference/command-line.md": command_line_page.page,
    "images/request-path.svg": pictures.request_path,
    "images/login-trace.svg": pictures.login,
    "images/kept.svg": pictures.kept,
}


def main() -> None:
    """Write each of them."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
