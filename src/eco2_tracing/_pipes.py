"""A lock for texts that are too long for the kernel to keep them together in a pipe."""

from __future__ import annotations

import fcntl
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from eco2_tracing._forks import in_child
from eco2_tracing._native import RLock

PIPE_BUF = select.PIPE_BUF
"""The kernel does not mix the data of two calls of ``write`` to a pipe if each has at most so many bytes (pipe(7))."""


class _Lock:
    """One for all threads: the lock of processes belongs to the process, and the first release ends it."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Replace it, as in a forked child."""
        self.threads = RLock()


_lock = _Lock()
in_child(_lock.renew)


def is_pipe(descriptor: int) -> bool:
    """Return True for a pipe. `OSError`: the descriptor is closed."""
    return stat.S_ISFIFO(os.fstat(descriptor).st_mode)


@contextmanager
def long_text(descriptor: int) -> Iterator[None]:
    """Keep out other long texts of this process, and of processes with the same pipe that use this function too.

    Shorter texts do not wait for it. They come between the parts of a long text only in a pipe that is full.
    """
    with _lock.threads:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
        except OSError:  # the system has no such locks for pipes
            yield
            return
        try:
            yield
        finally:
            fcntl.lockf(descriptor, fcntl.LOCK_UN)
