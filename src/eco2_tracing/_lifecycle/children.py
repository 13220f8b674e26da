"""Children that ``multiprocessing`` made by fork: they end by ``os._exit``, past ``atexit``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_LAST = -100
"""Finalizers run from the highest priority down; those of the application, which may make spans, come first."""


def end_with_child(callback: Callable[[], None]) -> None:
    """Call back at the end of this process if it is, or turns out to be, a child of ``multiprocessing``.

    Called when tracing is configured, and right after every fork, when it is not known yet who forked.

    Args:
        callback: What ``atexit`` calls, too; only the first call has to do anything.
    """
    util: Any = sys.modules.get("multiprocessing.util")
    if util is None:
        return
    # A child that begins forgets every finalizer, and then runs what was registered so.
    util.register_after_fork(callback, _finalize)
    if sys.modules["multiprocessing.process"].parent_process() is not None:
        _finalize(callback)


def _finalize(callback: Callable[[], None]) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, callback, exitpriority=_LAST)
