"""Private names of Python's import system. Checked with CPython 3.11 to 3.15.

A fork in C that comes while a thread imports leaves two kinds of locks behind in the child: one for each module that
the thread was importing, and the one of the import system, which is held while a module is searched for.
"""

from __future__ import annotations

import os
import sys
from typing import Any

_FORKS_OWN_THE_LOCK = (3, 13)


def prepare_repair() -> None:
    """Import what `repair_imports` needs; nothing can be imported by then."""
    try:
        import ctypes  # noqa: F401 - found in `sys.modules` later
    except ImportError:  # a Python without it leaves such a child as it is
        pass


def repair_imports(thread: int) -> None:
    """In a forked child: let what a thread of the parent was importing be imported anew.

    Python without the private names keeps the locks: a thread that imports such a module in the child waits for ever.
    """
    _renew_import_lock()
    locks: Any = getattr(sys.modules["_frozen_importlib"], "_module_locks", {})
    for name, reference in list(locks.items()):
        if getattr(reference(), "owner", None) != thread:
            continue
        locks.pop(name, None)
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False):
            sys.modules.pop(name, None)


def _renew_import_lock() -> None:
    """Release the import system's lock, where a thread of the parent holds it.

    The forking program should have called `PyOS_AfterFork_Child` of Python's C API. It is safe as long as the child has
    one thread. Without it the child can import nothing at all. Since Python 3.13 it ends a process in which
    `PyOS_BeforeFork` was not called before the fork.
    """
    ctypes: Any = sys.modules.get("ctypes")
    if sys.version_info >= _FORKS_OWN_THE_LOCK:
        return
    held = getattr(sys.modules["_imp"], "lock_held", bool)
    if ctypes is not None and held() and _threads() == 1:
        ctypes.pythonapi.PyOS_AfterFork_Child()


def _threads() -> int:
    """Return how many threads this process has; 0 where the system does not say."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - `pathlib` could have to import something
    except OSError:
        return 0
