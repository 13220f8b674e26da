"""Which requests are left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

DEFAULT_EXCLUDED_PATHS = ("health", "healthz", "ready", "readyz", "livez", "metrics")
"""What is left out where nobody says otherwise."""

_WORD = re.compile(r"[\w.~-]+\Z")
_VERSION = re.compile(r"v\d+[\w.]*\Z")


def excluded_paths_of(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """The entries of an ``excluded_paths`` argument.

    Args:
        given: A comma-separated list, several entries, or ``None`` for the default.
    """
    if given is None:
        return DEFAULT_EXCLUDED_PATHS
    return tuple(given.split(",")) if isinstance(given, str) else tuple(given)


def split_urls(expressions: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part contrib's list into bare words, which are paths here, and regular expressions.

    Args:
        expressions: The entries of ``OTEL_PYTHON_EXCLUDED_URLS`` and its kind.

    Returns:
        The bare words and the rest.
    """
    words: list[str] = []
    regexes: list[str] = []
    for entry in expressions:
        (words if _WORD.match(entry) and "." not in entry else regexes).append(entry)
    return tuple(words), tuple(regexes)


class ExcludedPaths:
    """Paths by whole segments.

    An entry without a slash is that first segment or anything below it, also behind the root path,
    ``/api`` and a version segment. An entry with a slash is a prefix by segments.

    Args:
        entries: Words and prefixes, such as ``health`` and ``/internal/debug``.
    """

    __slots__ = ("_prefixes", "_words", "entries")

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = tuple(entry.strip() for entry in entries if entry.strip())
        self._words = frozenset(entry for entry in self.entries if "/" not in entry)
        prefixes = ("/" + entry.strip("/") for entry in self.entries if "/" in entry)
        self._prefixes = tuple((prefix, prefix.rstrip("/") + "/") for prefix in prefixes)

    def __call__(self, path: str, root_path: str) -> bool:
        """Tell whether a request is left out.

        Args:
            path: The request's path, with or without the root path in front.
            root_path: The application's root path; may be empty.
        """
        words = self._words
        if root_path and path.startswith(root_path):
            rest = path[len(root_path) :]
            if rest[:1] in ("/", "") and self._matches(rest or "/"):
                return True
        # Most paths are decided by their first segment: nothing else is looked at.
        end = path.find("/", 1)
        first = path[1:] if end < 0 else path[1:end]
        if first in words:
            return True
        if end > 0 and (first == "api" or _VERSION.match(first)) and self._behind_api(path, first, end):
            return True
        for prefix, below in self._prefixes:
            if path == prefix or path.startswith(below):
                return True
        return False

    def _matches(self, path: str) -> bool:
        return self(path, "")

    def _behind_api(self, path: str, first: str, end: int) -> bool:
        segments = path[end + 1 :].split("/", 2)
        if segments[0] in self._words:
            return True
        return (
            first == "api"
            and len(segments) > 1
            and bool(_VERSION.match(segments[0]))
            and segments[1] in self._words
        )


class ExcludedUrls:
    """contrib's regular expressions, searched for anywhere in the URL.

    Args:
        expressions: Regular expressions; each must compile.
    """

    __slots__ = ("_search", "expressions")

    def __init__(self, expressions: Sequence[str]) -> None:
        self.expressions = tuple(expressions)
        self._search = re.compile("|".join(f"(?:{expression})" for expression in expressions)).search

    def __call__(self, url: str) -> bool:
        """Tell whether a URL is left out."""
        return self._search(url) is not None
