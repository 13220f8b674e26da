"""Decides which requests are excluded from tracing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from eco2_tracing._settings.globs import LONGEST_URL, for_search

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from eco2_tracing._instrumentation.common.http_attributes import ReadScope
    from eco2_tracing._settings import Settings

DEFAULT_EXCLUDED_PATHS = ("health", "healthz", "ready", "readyz", "livez", "metrics")
"""The excluded paths if neither the environment nor an argument names any."""

_WORD = re.compile(r"[\w.~-]+\Z")
_ORIGIN = r"^\w+://[^/]*"
_API = r"(?:/api(?:/v\d+[\w.]*)?|/v\d+[\w.]*)?"


def excluded_paths_of(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return the entries of an ``excluded_paths`` argument.

    Args:
        given: A comma-separated list, several entries, or ``None`` for the default.
    """
    if given is None:
        return DEFAULT_EXCLUDED_PATHS
    return tuple(given.split(",")) if isinstance(given, str) else tuple(given)


def split_urls(expressions: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split contrib's list into bare words and regular expressions. Bare words are treated as paths.

    Args:
        expressions: The entries of ``OTEL_PYTHON_EXCLUDED_URLS`` or ``OTEL_PYTHON_FASTAPI_EXCLUDED_URLS``.

    Returns:
        The bare words and the regular expressions.
    """
    words: list[str] = []
    regexes: list[str] = []
    for entry in expressions:
        (words if _WORD.match(entry) and "." not in entry else regexes).append(entry)
    return tuple(words), tuple(regexes)


class ExcludedPaths:
    """Matches paths by whole segments.

    An entry without a slash matches a path whose first segment it is. The root path, ``/api`` and a version
    segment may precede it. An entry with a slash matches as a prefix, by whole segments.

    Args:
        entries: Words and prefixes, such as ``health`` and ``/internal/debug``.
    """

    __slots__ = ("entries", "match")

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = tuple(entry.strip() for entry in entries if entry.strip())
        words = "|".join(re.escape(entry) for entry in self.entries if "/" not in entry)
        prefixes = [re.escape("/" + entry.strip("/")) for entry in self.entries if "/" in entry]
        forms = [rf"(?:/api)?(?:/v\d[\w.]*)?/(?:{words})"] if words else []
        forms += ["" if prefix == "/" else prefix for prefix in prefixes]
        # One expression is faster: most paths fail at the first segment.
        self.match = re.compile(rf"(?:{'|'.join(forms)})(?:/|\Z)" if forms else r"(?!)").match

    def __call__(self, path: str, root_path: str) -> bool:
        """Return whether a request is excluded."""
        if self.match(path) is not None:
            return True
        if not root_path or not path.startswith(root_path):
            return False
        rest = path[len(root_path) :]
        return rest[:1] in ("/", "") and self.match(rest or "/") is not None


class ExcludedUrls:
    """Matches URLs by contrib's regular expressions, which may match anywhere in the URL."""

    __slots__ = ("_search", "expressions")

    def __init__(self, expressions: Sequence[str]) -> None:
        self.expressions = tuple(expressions)
        self._search = re.compile(
            "|".join(f"(?:{for_search(expression)})" for expression in expressions)
        ).search

    def __call__(self, url: str) -> bool:
        """Return whether a URL is excluded. Only the beginning of a long URL is searched, to bound the time."""
        return self._search(url, 0, LONGEST_URL) is not None


def url_of(scope: ReadScope) -> str:
    """Return the URL of a request in the form that contrib matches."""
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), None)
    if host is None:
        server = scope.get("server") or ("0.0.0.0", 80)  # noqa: S104 - contrib's value for an unknown server
        host = str(server[0]) if server[1] == 80 else f"{server[0]}:{server[1]}"
    return f"{scope.get('scheme', 'http')}://{host}{scope['path']}"


def excluded_regexes(paths: Iterable[str], root_path: str = "") -> tuple[str, ...]:
    """Return excluded paths as regular expressions for whole URLs, as contrib expects, one an entry.

    They match as `ExcludedPaths` does.
    """
    root = f"(?:{re.escape(root_path.rstrip('/'))})?" if root_path.rstrip("/") else ""
    regexes = []
    for entry in filter(None, (path.strip() for path in paths)):
        middle = "" if "/" in entry else _API
        name = re.escape(entry.strip("/"))
        regexes.append(f"{_ORIGIN}{root}{middle}/{name}{'(?:/|$)' if name else ''}")
    return tuple(regexes)


def excluded_urls(app: Starlette, settings: Settings, argument: str | Iterable[str] | None) -> str:
    """Return the excluded paths and URLs in the form of contrib's list."""
    words, regexes = split_urls(settings.excluded_urls)
    paths: Iterable[str] | None = settings.excluded_paths
    if paths is None:
        paths = excluded_paths_of(argument)
    return ",".join(
        [*excluded_regexes([*paths, *words], getattr(app, "root_path", "")), *map(for_search, regexes)]
    )
