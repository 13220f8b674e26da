"""Manners of the export thread: it lets others run."""

from __future__ import annotations

from eco2_tracing._native import sleep


def yield_gil() -> None:
    """Let other threads run: one that only offers the interpreter takes it back before anybody is awake."""
    sleep(0.0001)
