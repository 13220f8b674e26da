"""A fork in C, which runs none of Python's fork hooks."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

_NEVER_S = 600.0


def c_fork() -> Callable[[], int]:
    """Return the system's `fork`. From now on each thread keeps CPython's global lock until it blocks.

    If another thread waits for that lock during the fork, the child waits for ever when it next releases the lock:
    CPython waits for the threads of the parent, unless the program calls `PyOS_AfterFork_Child`.
    """
    sys.setswitchinterval(_NEVER_S)
    fork: Callable[[], int] = ctypes.PyDLL(None).fork
    return fork
