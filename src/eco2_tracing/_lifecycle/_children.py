"""Children that ``multiprocessing`` made by fork: they end by ``os._exit``, past ``atexit``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

_LAST = -100
"""Finalizers run from the highest priority down; those of the application, which may make spans, come first."""


def end_with_child(callback: Callable[[], None]) -> None:
    """Call back at the end of this process if it is a child of ``multiprocessing``.

    Args:
        callback: What ``atexit`` would call; may be called by both.
    """
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        _finalize(callback)


def end_with_forked_child(callback: Callable[[], None]) -> None:
    """The same, called right after a fork, when it is not known yet who forked.

    Args:
        callback: As above.
    """
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        # It forgets every finalizer a moment from now, and then runs what was registered so.
        util.register_after_fork(callback, _finalize)


def _finalize(callback: Callable[[], None]) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, callback, exitpriority=_LAST)
