"""The files of the page, from the package."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

PAGE = Path(__file__).with_name("page")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFiles:
    """A fixed list of files, so that the path of a request never opens one.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path = PAGE) -> None:
        self._files: Mapping[str, Path] = {
            path.name: path for path in folder.iterdir() if path.suffix in _TYPES
        }

    def get(self, name: str) -> tuple[bytes, str] | None:
        """Return a file and its media type, or ``None``."""
        path = self._files.get(name)
        return None if path is None else (path.read_bytes(), _TYPES[path.suffix])
