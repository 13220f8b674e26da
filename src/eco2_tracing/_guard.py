"""Never break the host, never hide it: each failure of our own is logged once."""

from __future__ import annotations

import logging
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from eco2_tracing._native import RLock, forget_threads, in_own_thread

if TYPE_CHECKING:
    import threading

logger = logging.getLogger("eco2_tracing")


class _Once:
    """The keys that were already reported.

    Args:
        lock: Guards the set; re-entrant, for a signal's handler may report while its thread does; a fork replaces it.
    """

    __slots__ = ("_lock", "_seen")

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._seen: set[str] = set()

    def first(self, key: str) -> bool:
        """Tell whether this key is new, and remember it."""
        with self._lock:
            if key in self._seen:
                return False
            self._seen.add(key)
            return True

    def clear(self) -> None:
        """Forget every key."""
        with self._lock:
            self._seen.clear()

    def after_fork(self) -> None:
        """In a child: another thread may have held the lock when the process was copied."""
        self._lock = RLock()


_reported = _Once(RLock())


pending: deque[tuple[str, tuple[object, ...], Any]] = deque(maxlen=100)
"""Warnings of our threads under gevent and eventlet, whose locks are not for threads: see `log_pending`."""


def warn(message: str, *args: object, exc_info: Any = None) -> None:
    """Log one WARNING, from any thread.

    Args:
        message: A ``logging`` format string.
        args: Its arguments.
        exc_info: An exception, as `sys.exc_info` gives it.
    """
    if in_own_thread():
        pending.append((message, args, exc_info))
    else:
        logger.warning(message, *args, exc_info=exc_info)


def log_pending() -> None:
    """Log, in a greenlet, what our threads had to say."""
    while pending and not in_own_thread():
        try:
            message, args, exc_info = pending.popleft()
        except IndexError:  # another one was faster
            return
        logger.warning(message, *args, exc_info=exc_info)


def warn_once(key: str, message: str, *args: object) -> None:
    """Log one WARNING for a key, however often the same thing is found.

    Args:
        key: What is reported, such as ``setting:OTEL_PROPAGATORS``.
        message: A ``logging`` format string.
        args: Its arguments.
    """
    if _reported.first(key):
        warn(message, *args)


def internal_failure(what: str) -> None:
    """Log the exception being handled, once for each ``what``; the host goes on.

    Args:
        what: The work that failed, as in "eco2-tracing failed at <what>".
    """
    if _reported.first(f"internal:{what}"):
        warn(
            "eco2-tracing failed at %s; the application goes on, this is logged once",
            what,
            exc_info=sys.exc_info(),
        )


def forget_warnings() -> None:
    """Undo: report again what was reported once. For tests and ``shutdown``."""
    _reported.clear()


def renew_guard() -> None:
    """In a child process: replace the lock; the parent logs what its threads had to say."""
    _reported.after_fork()
    forget_threads()
    pending.clear()
