"""Imports in threads of ours, which no fork may cut through.

A module that another thread is importing while a process forks can never be imported in the child: its import lock is
held by a thread that does not exist there. A fork that Python announces waits for such an import. After any other fork
the child releases the locks of that thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from eco2_tracing._compat.imports import prepare_repair, repair_imports
from eco2_tracing._forks import in_child
from eco2_tracing._native import Lock, get_ident

if TYPE_CHECKING:
    import _thread

_LONGEST_S = 10.0
"""Seconds that a fork waits at most for another thread's imports, which take long where the machine is overloaded."""


class _Gate:
    """Lets either imports or forks through.

    Args:
        lock: Held by one of them.
    """

    def __init__(self, lock: _thread.LockType) -> None:
        self.lock = lock
        self.importer: int | None = None
        self._held_by: int | None = None
        self._within_import = False

    def before_fork(self) -> None:
        # A module that forks while it is imported must not wait for itself, and its import goes on in the child.
        self._within_import = self.importer == get_ident()
        if not self._within_import and self.lock.acquire(timeout=_LONGEST_S):
            self._held_by = get_ident()

    def in_parent(self) -> None:
        self._within_import = False
        if self._held_by == get_ident():
            self._held_by = None
            self.lock.release()

    def in_child(self) -> None:
        importer, self.importer = self.importer, None
        if importer is not None and not self._within_import:
            repair_imports(importer)
        self.lock = Lock()
        self._within_import = False
        self._held_by = None


_gate = _Gate(Lock())
os.register_at_fork(before=_gate.before_fork, after_in_parent=_gate.in_parent)
in_child(_gate.in_child)


@contextmanager
def lazy_imports() -> Iterator[None]:
    """Import within the block; who forks meanwhile waits."""
    with _gate.lock:
        _gate.importer = get_ident()
        try:
            prepare_repair()
            yield
        finally:
            _gate.importer = None
