"""Which requests are left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from eco2_tracing._settings.globs import LONGEST_URL, for_search

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.asgi import ReadScope

DEFAULT_EXCLUDED_PATHS = ("health", "healthz", "ready", "readyz", "livez", "metrics")
"""What is left out where nobody says otherwise."""

_WORD = re.compile(r"[\w.~-]+\Z")


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

    __slots__ = ("entries", "match")

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = tuple(entry.strip() for entry in entries if entry.strip())
        words = "|".join(re.escape(entry) for entry in self.entries if "/" not in entry)
        prefixes = [re.escape("/" + entry.strip("/")) for entry in self.entries if "/" in entry]
        forms = [rf"(?:/api)?(?:/v\d[\w.]*)?/(?:{words})"] if words else []
        forms += ["" if prefix == "/" else prefix for prefix in prefixes]
        # One expression: most paths are decided by its first look at their first segment.
        self.match = re.compile(rf"(?:{'|'.join(forms)})(?:/|\Z)" if forms else r"(?!)").match

    def __call__(self, path: str, root_path: str) -> bool:
        """Tell whether a request is left out.

        Args:
            path: The request's path, with or without the root path in front.
            root_path: The application's root path; may be empty.
        """
        if self.match(path) is not None:
            return True
        if not root_path or not path.startswith(root_path):
            return False
        rest = path[len(root_path) :]
        return rest[:1] in ("/", "") and self.match(rest or "/") is not None


class ExcludedUrls:
    """contrib's regular expressions, searched for anywhere in the URL.

    Args:
        expressions: Regular expressions; each must compile.
    """

    __slots__ = ("_search", "expressions")

    def __init__(self, expressions: Sequence[str]) -> None:
        self.expressions = tuple(expressions)
        self._search = re.compile(
            "|".join(f"(?:{for_search(expression)})" for expression in expressions)
        ).search

    def __call__(self, url: str) -> bool:
        """Tell whether a URL is left out; of a long one the beginning decides, so that the time is bounded."""
        return self._search(url, 0, LONGEST_URL) is not None


def url_of(scope: ReadScope) -> str:
    """Return the URL of a request, as contrib matches it.

    Args:
        scope: The ASGI scope.
    """
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), None)
    if host is None:
        server = scope.get("server") or ("0.0.0.0", 80)  # noqa: S104 - contrib's word for unknown
        host = str(server[0]) if server[1] == 80 else f"{server[0]}:{server[1]}"
    return f"{scope.get('scheme', 'http')}://{host}{scope['path']}"
