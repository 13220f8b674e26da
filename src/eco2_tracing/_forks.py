"""Detects forks, and calls hooks that reset locks, threads, connections and ids in the child.

`os.register_at_fork` covers Python's own forks. uWSGI, and programs that embed Python, fork in C without it. Such a
child is detected at its first span, flush or status, by a page of memory that the kernel clears in children
(`MADV_WIPEONFORK`, Linux 4.14). Reading it takes a tenth of the time of `os.getpid`, which is used elsewhere.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

from eco2_tracing._guard import guarded, renew_guard
from eco2_tracing._native import RLock

_MADV_WIPEONFORK = 18


class _ProcessId:
    """A mark for systems without `MADV_WIPEONFORK`."""

    def __init__(self) -> None:
        self._pid = 0

    def __getitem__(self, index: int) -> bool:
        return os.getpid() == self._pid

    def __setitem__(self, index: int, value: int) -> None:
        self._pid = os.getpid()


def make_mark(platform: str = sys.platform) -> mmap.mmap | _ProcessId:
    """Return a mark: its item 0 is true until the process is forked, and false in the child."""
    made: mmap.mmap | _ProcessId = _ProcessId()
    if platform == "linux":
        try:
            page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            page.madvise(_MADV_WIPEONFORK)
        except (OSError, ValueError):  # an older kernel
            pass
        else:
            made = page
    made[0] = 1
    return made


mark = make_mark()
"""Hot paths run ``if not mark[0]: notice_fork()``."""


class Renewable(Protocol):
    """An object with locks, threads or random numbers of its own."""

    def after_fork(self) -> None:
        """Replace them."""


class _Forks:
    """Calls the hooks in their order, then the owners' ``after_fork``, once in each child."""

    def __init__(self) -> None:
        self.hooks: list[Callable[[], None]] = [renew_guard]
        self.owners: WeakSet[Renewable] = WeakSet()
        self._pid = os.getpid()
        self._locks: dict[int, RLock] = {}
        self._renewing = 0

    def notice(self) -> None:
        """Call the hooks if this is a new child. Other threads wait until they have run."""
        pid = os.getpid()
        if pid == self._pid and mark[0]:
            return
        # A lock for this process: no thread of the parent can hold it. `setdefault` gives two threads the same one.
        with self._locks.setdefault(pid, RLock()):
            if self._renewing != pid and (pid != self._pid or not mark[0]):
                self.renew()

    def renew(self) -> None:
        """Call every hook."""
        if self._renewing == os.getpid():  # called by `_compat.imports` within a hook
            return
        self._renewing = os.getpid()
        try:
            for hook in (*self.hooks, *[owner.after_fork for owner in list(self.owners)]):
                with guarded("starting over in a forked process"):
                    hook()
        finally:
            self._locks.clear()
            self._pid = os.getpid()
            mark[0] = 1
            self._renewing = 0


_forks = _Forks()
notice_fork = _forks.notice


def in_child(hook: Callable[[], None]) -> None:
    """Register a function that is called once in each child, before this library does anything else there."""
    _forks.hooks.append(hook)


def renew_in_child(owner: Renewable) -> None:
    """Call the owner's ``after_fork`` in each child, as long as the owner lives."""
    _forks.owners.add(owner)


os.register_at_fork(after_in_child=_forks.renew)
