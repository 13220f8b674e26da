"""Colours, widths and escaping."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from contextlib import contextmanager
from pathlib import Path

import pytest

from eco2_tracing._console.terminal import (
    cells,
    columns,
    escaped,
    fitted,
    has_colours,
    has_links,
    is_terminal,
    screen_of,
)


@contextmanager
def terminal(width=80):
    """A stream that is a terminal of so many columns."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    try:
        with os.fdopen(secondary, "w") as stream:
            yield stream
    finally:
        os.close(primary)


@pytest.mark.parametrize(
    ("environ", "on_terminal", "in_pipe"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colours(environ, on_terminal, in_pipe):
    """By default on terminals; NO_COLOR wins over FORCE_COLOR."""
    with terminal() as stream, Path(os.devnull).open("w") as pipe:
        assert has_colours(stream, environ) is on_terminal
        assert has_colours(pipe, environ) is in_pipe


def test_links():
    """On terminals that are not known to print them as text."""
    with terminal() as stream:
        assert has_links(stream, {"TERM": "xterm-256color"})
        assert not has_links(stream, {"TERM": "linux"})
        assert not has_links(stream, {})
        assert not has_links(stream, {"TERM": "xterm", "NO_COLOR": "1"})
    assert not has_links(None, {"TERM": "xterm"})


def test_streams_that_are_no_terminal():
    """Closed ones, none, and objects without the methods."""
    with Path(os.devnull).open("w") as closed:
        pass
    assert not is_terminal(closed)
    assert not is_terminal(None)
    assert not is_terminal(object())


@pytest.mark.parametrize(
    ("given", "width"),
    [("", 90), ("100", 100), ("5", 20), ("0", 90), ("wide", 90), ("²", 90), ("9" * 99, 999_999)],
)
def test_columns(given, width):
    """COLUMNS, else the size of the terminal; never less than 20."""
    with terminal(90) as stream:
        assert columns(stream, {"COLUMNS": given}) == width


def test_columns_of_other_streams(monkeypatch):
    """Without a size it is 80; what is no terminal has no width."""
    with terminal(0) as stream:
        assert columns(stream, {}) == 80
        monkeypatch.setattr(os, "get_terminal_size", lambda _: (_ for _ in ()).throw(OSError))
        assert columns(stream, {}) == 80
    assert columns(None, {}) is None
    with Path(os.devnull).open("w") as pipe:
        assert screen_of(pipe, {}).width is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /users/{id}", "GET /users/{id}"),
        ("캐릭터 ≠ 🦦", "캐릭터 ≠ 🦦"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31m\x1b]0;title\x07", r"\x1b[31m\x1b]0;title\x07"),
        ("\x9b31m\x7f\x00", r"\x9b31m\x7f\x00"),
        ("a\u202eb\u200b\u2028", r"a\u202eb\u200b\u2028"),
        ("\ud800", r"\ud800"),
    ],
)
def test_escaping(text, shown):
    """Nothing that a terminal acts on is left, and other text stays."""
    assert escaped(text) == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 4, "abc…"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
        ("ab", 4, "ab  "),
        ("캐릭터", 6, "캐릭터"),
        ("캐릭터", 4, "캐… "),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
    ],
)
def test_fitted(text, width, shown):
    """By cells: wide characters have two, combining ones none."""
    assert fitted(text, width, pad=True) == shown
    assert cells(fitted(text, width, pad=True)) == width
