"""Converts excluded paths to regular expressions for whole URLs, as contrib expects."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from eco2_tracing._instrumentation.common.excluded import excluded_paths_of, split_urls
from eco2_tracing._settings.globs import for_search

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from eco2_tracing._settings import Settings

_ORIGIN = r"^\w+://[^/]*"
_API = r"(?:/api(?:/v\d+[\w.]*)?|/v\d+[\w.]*)?"


def excluded_regexes(paths: Iterable[str], root_path: str = "") -> tuple[str, ...]:
    """Return excluded paths as regular expressions for whole URLs, one an entry.

    Args:
        paths: Entries as in ``ECO2_TRACING_EXCLUDED_PATHS``. A word matches as the first segment of a path, also
            after the root path, ``/api`` and a version segment. An entry with a slash matches as a prefix.
        root_path: The application's root path; may be empty.
    """
    root = f"(?:{re.escape(root_path.rstrip('/'))})?" if root_path.rstrip("/") else ""
    regexes = []
    for entry in filter(None, (path.strip() for path in paths)):
        middle = "" if "/" in entry else _API
        name = re.escape(entry.strip("/"))
        regexes.append(f"{_ORIGIN}{root}{middle}/{name}{'(?:/|$)' if name else ''}")
    return tuple(regexes)


def excluded_urls(app: Starlette, settings: Settings, argument: str | Iterable[str] | None) -> str:
    words, regexes = split_urls(settings.excluded_urls)
    paths: Iterable[str] | None = settings.excluded_paths
    if paths is None:
        paths = excluded_paths_of(argument)
    return ",".join(
        [*excluded_regexes([*paths, *words], getattr(app, "root_path", "")), *map(for_search, regexes)]
    )
