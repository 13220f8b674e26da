"""Imports in our threads that are safe against forks.

If a thread imports a module during a fork, its import lock stays held in the child, which can never import the module.
Python's own forks wait for such an import. After a fork in C, the child releases the locks of that thread.
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
"""Longest time in seconds that a fork waits for an import of another thread."""


class _Gate:
    """Keeps imports and forks apart by a lock that the importing or forking thread holds."""

    def __init__(self, lock: _thread.LockType) -> None:
        self.lock = lock
        self.importer: int | None = None
        self._held_by: int | None = None
        self._within_import = False

    def before_fork(self) -> None:
        # A module may fork while it is imported: it must not wait for itself, and its import continues in the child.
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
    """Import modules within the block. Forks wait until it ends."""
    with _gate.lock:
        _gate.importer = get_ident()
        try:
            prepare_repair()
            yield
        finally:
            _gate.importer = None
