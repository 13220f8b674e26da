"""Sharing the GIL between the export thread and the threads that serve requests."""

from __future__ import annotations

from eco2_tracing._native import sleep

SPANS_PER_TURN = 128
"""Spans encoded before the thread yields: about 1 ms, while Python's switch interval is 5 ms. Each yield costs the
serving thread up to 0.5 ms of processor time, so turns are not shorter."""


def yield_gil() -> None:
    """Let other threads run. `sleep(0)` would take the GIL back before another thread is scheduled."""
    sleep(0.0001)
