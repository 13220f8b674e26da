"""What a child process has to renew: locks, threads, connections, ids.

Python announces its own forks (`os.register_at_fork`). A fork in C is not announced: uWSGI forks its workers so, and
programs that embed Python may. Such a child is noticed at its first span, flush or status: a page of memory that the
kernel clears in children (`MADV_WIPEONFORK`, Linux 4.14) costs a tenth of asking for the process id, which is asked
elsewhere.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from typing import Any

from eco2_tracing._guard import internal_failure, renew_guard
from eco2_tracing._native import RLock

_MADV_WIPEONFORK = 18


class _ProcessId:
    """Stands for the page where the kernel clears none: ``mark[0]`` is true in the process that wrote it."""

    def __init__(self) -> None:
        self._pid = 0

    def __getitem__(self, index: int) -> bool:
        return os.getpid() == self._pid

    def __setitem__(self, index: int, value: int) -> None:
        self._pid = os.getpid()


def make_mark(platform: str = sys.platform) -> Any:
    """Return something whose item 0 is true until the process is forked; false in the child.

    Args:
        platform: As `sys.platform`.
    """
    made: Any = _ProcessId()
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
"""``if not mark[0]: notice_fork()`` is what hot paths do."""


class _Forks:
    """Renews this process once.

    Attributes:
        hooks: What to call in a child, in order.
    """

    def __init__(self) -> None:
        self.hooks: list[Callable[[], None]] = [renew_guard]
        self._pid = os.getpid()
        self._locks: dict[int, Any] = {}
        self._renewing = 0

    def notice(self) -> None:
        """Renew if this is a child; other threads of it wait until that is done."""
        pid = os.getpid()
        if pid == self._pid and mark[0]:
            return
        # A lock of this process: nobody in the parent can have held it. Two threads agree on one.
        with self._locks.setdefault(pid, RLock()):
            if self._renewing != pid and (pid != self._pid or not mark[0]):
                self.renew()

    def renew(self) -> None:
        """Call every hook; then the process is known."""
        if self._renewing == os.getpid():  # a hook has Python announce the fork after all: `_compat.imports`
            return
        self._renewing = os.getpid()
        try:
            for hook in list(self.hooks):
                try:
                    hook()
                except Exception:  # noqa: BLE001 - the child goes on, without spans at worst
                    internal_failure("starting over in a forked process")
        finally:
            self._locks.clear()
            self._pid = os.getpid()
            mark[0] = 1
            self._renewing = 0


_forks = _Forks()
notice_fork = _forks.notice


def in_child(hook: Callable[[], None]) -> None:
    """Have a function called once in each child process, before the first thing that this library does there.

    Args:
        hook: Renews what the parent held.
    """
    _forks.hooks.append(hook)


os.register_at_fork(after_in_child=_forks.renew)
