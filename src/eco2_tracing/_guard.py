"""Never break the host, never hide it: each failure of our own is logged once."""

from __future__ import annotations

import logging
import os
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
        self._lock = threading.RLock()


_reported = _Once(threading.RLock())
os.register_at_fork(after_in_child=_reported.after_fork)


def warn_once(key: str, message: str, *args: object) -> None:
    """Log one WARNING for a key, however often the same thing is found.

    Args:
        key: What is reported, such as ``setting:OTEL_PROPAGATORS``.
        message: A ``logging`` format string.
        args: Its arguments.
    """
    if _reported.first(key):
        logger.warning(message, *args)


def internal_failure(what: str) -> None:
    """Log the exception being handled, once for each ``what``; the host goes on.

    Args:
        what: The work that failed, as in "eco2-tracing failed at <what>".
    """
    if _reported.first(f"internal:{what}"):
        logger.warning(
            "eco2-tracing failed at %s; the application goes on, this is logged once",
            what,
            exc_info=True,
        )


def forget_warnings() -> None:
    """Undo: report again what was reported once. For tests and ``shutdown``."""
    _reported.clear()
