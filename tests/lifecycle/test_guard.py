"""Failures of the library do not reach the application, and each kind is logged once."""

from __future__ import annotations

import pytest

from eco2_tracing._guard import attempt, guarded


def test_a_guarded_block(caplog):
    """An exception is logged once for each kind of work."""
    for _ in range(2):
        with guarded("testing the guard"):
            raise ValueError("no such luck")
    assert [record.message for record in caplog.records] == [
        "eco2-tracing failed at testing the guard; the application goes on, this is logged once"
    ]


def test_a_guarded_block_that_is_left():
    """Leaving the program is no failure."""
    with pytest.raises(KeyboardInterrupt), guarded("testing the guard"):
        raise KeyboardInterrupt


def test_an_attempt(caplog):
    """The default is returned in place of an exception."""
    assert attempt("reading a number", int, "7", default=0) == 7
    assert attempt("reading a number", int, "seven", default=0) == 0
    assert len(caplog.records) == 1
