"""Colours, widths and escaping for terminals."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import accumulate
from typing import Protocol

Paint = Callable[[str, str], str]
"""Returns a text in a style. The style is the numbers of an SGR sequence, such as `RED`."""

BOLD, DIM = "1", "2"
RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN = "31", "32", "33", "34", "35", "36"
BOLD_RED = "1;31"

_NO_LINKS = frozenset({"", "dumb", "linux"})
_NARROWEST = 20
_DEFAULT_COLUMNS = 80


class Stream(Protocol):
    """The part of a text stream that is needed to find out about its terminal."""

    def isatty(self) -> bool:
        """Return True for a terminal."""

    def fileno(self) -> int:
        """Return the file descriptor."""


def is_terminal(stream: Stream | None) -> bool:
    """Return True if a stream is a terminal; False for a closed one, and for `None`."""
    try:
        return stream is not None and stream.isatty()
    except (ValueError, AttributeError):
        return False


def has_colours(stream: Stream | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if what is written to a stream may have colours.

    ``NO_COLOR`` (https://no-color.org) takes precedence over ``FORCE_COLOR`` (https://force-color.org). Without either,
    a terminal has colours unless ``TERM`` is ``dumb``.

    Args:
        stream: The stream.
        environ: The environment.
    """
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "").lower() not in ("", "0", "false"):
        return True
    return environ.get("TERM") != "dumb" and is_terminal(stream)


def has_links(stream: Stream | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if a stream is a terminal that shows OSC 8 links, or ignores them."""
    return is_terminal(stream) and not environ.get("NO_COLOR") and environ.get("TERM", "") not in _NO_LINKS


def columns(stream: Stream | None, environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the width of a stream in cells: ``COLUMNS``, else that of the terminal, at least 20.

    Returns:
        ``None`` if the stream is no terminal and ``COLUMNS`` is not set.
    """
    given = environ.get("COLUMNS", "")
    if given.isascii() and given.isdecimal() and int(given[:6]):
        return max(int(given[:6]), _NARROWEST)
    if stream is None or not is_terminal(stream):
        return None
    try:
        found = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        found = 0
    return max(found or _DEFAULT_COLUMNS, _NARROWEST)


def coloured(text: str, style: str) -> str:
    """Return a text in a style; an empty style changes nothing."""
    return f"\x1b[{style}m{text}\x1b[0m" if style and text else text


def plain(text: str, _style: str) -> str:
    """Return a text without a style."""
    return text


def link(text: str, target: str) -> str:
    """Return a text as an OSC 8 terminal link. Both must be free of control characters."""
    return f"\x1b]8;;{target}\x1b\\{text}\x1b]8;;\x1b\\"


def escaped(text: str) -> str:
    """Escape what a terminal could act on or does not show as itself.

    These are control characters, line separators, characters that change the direction of text or are invisible, and
    lone surrogates: `str.isprintable` is false for each of them. Names, values and messages are untrusted.
    """
    if text.isprintable():
        return text
    return "".join([each if each.isprintable() else each.encode("unicode_escape").decode() for each in text])


def cells(text: str) -> int:
    """Return how many cells of a terminal an escaped text takes: two for each East Asian wide character."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


@lru_cache(4096)
def _cells_of(character: str) -> int:
    import unicodedata  # a library of a megabyte that plain text does not need

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int, *, pad: bool = False) -> str:
    """Shorten a text to a width, with ``…`` at its end.

    Args:
        text: An escaped text without styles.
        width: Cells; less than 1 gives no text.
        pad: Add spaces to a shorter text.
    """
    taken = len(text) if text.isascii() else cells(text)
    if taken > width:
        if width < 1:
            return ""
        ends = accumulate(map(_cells_of, text))
        text = text[: next(at for at, end in enumerate(ends) if end >= width)] + "…"
        taken = cells(text)
    return text + " " * (width - taken) if pad else text


class Screen:
    """How text is laid out for one stream.

    Args:
        colour: Styles are written.
        width: Cells of a line; ``None`` does not limit summary lines, and trees to `UNLIMITED`.
        links: Links are written.
    """

    __slots__ = ("links", "paint", "width")

    def __init__(self, *, colour: bool, width: int | None = None, links: bool = False) -> None:
        self.paint: Paint = coloured if colour else plain
        self.width = width
        self.links = links


UNLIMITED = 120
"""Cells of a tree in a file or pipe."""


def screen_of(stream: Stream | None, environ: Mapping[str, str] = os.environ) -> Screen:
    """Return how text is laid out for a stream at this moment: a window may change its size."""
    return Screen(
        colour=has_colours(stream, environ),
        width=columns(stream, environ),
        links=has_links(stream, environ),
    )
