"""Processes forked by ``multiprocessing``: they end with ``os._exit``, which skips ``atexit``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

_LAST = -100
"""Finalizers run from the highest priority down. Those of the application run first, for they may make spans."""


def end_with_child(callback: Callable[[], None]) -> None:
    """Register a callback for the end of this process if it is a child of ``multiprocessing``.

    Called when tracing is configured, and after every fork, when it is not yet known who forked.

    Args:
        callback: Also registered with ``atexit``: later calls must do nothing.
    """
    if "multiprocessing.util" not in sys.modules:
        return
    util = import_module("multiprocessing.util")
    # A starting child clears all finalizers and then runs the functions registered here.
    util.register_after_fork(callback, _finalize)
    if import_module("multiprocessing.process").parent_process() is not None:
        _finalize(callback)


def _finalize(callback: Callable[[], None]) -> None:
    import_module("multiprocessing.util").Finalize(None, callback, exitpriority=_LAST)
