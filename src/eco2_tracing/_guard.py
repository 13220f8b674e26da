"""Never break the host, never hide it: each failure of our own is logged once."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

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


class guarded:  # noqa: N801 - reads as a statement: `with guarded("naming a span"):`
    """A block whose exceptions do not reach the host: each kind of failure is logged once.

    Only `Exception` is caught. Where it costs too much, on the path of every request, a `try` statement that calls
    `internal_failure` does the same.

    Args:
        what: The work that may fail, as in "eco2-tracing failed at <what>".
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        internal_failure(self._what)
        return True


_Default = TypeVar("_Default")


def attempt(what: str, function: Callable[..., _Default], *args: object, default: _Default) -> _Default:
    """Call a function that may raise anything; return ``default`` if it does.

    Args:
        what: The work that may fail, as in "eco2-tracing failed at <what>".
        function: The function.
        args: Its arguments.
        default: The value in place of an exception.
    """
    with guarded(what):
        return function(*args)
    return default


def forget_warnings() -> None:
    """Undo: report again what was reported once. For tests and ``shutdown``."""
    _reported.clear()


def renew_guard() -> None:
    """In a child process: replace the lock; the parent logs what its threads had to say."""
    _reported.after_fork()
    forget_threads()
    pending.clear()
