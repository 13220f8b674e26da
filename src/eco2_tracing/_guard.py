"""Failures of this library do not reach the application. Each kind is logged once."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from eco2_tracing._native import forget_threads, in_own_thread

if TYPE_CHECKING:
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

logger = logging.getLogger("eco2_tracing")

_reported: dict[str, object] = {}

pending: deque[tuple[str, tuple[object, ...], ExcInfo | None]] = deque(maxlen=100)
"""Warnings of our threads under gevent and eventlet, whose locks threads cannot use: see `log_pending`."""


def warn(message: str, *args: object, exc_info: ExcInfo | None = None) -> None:
    """Log one WARNING, from any thread; ``exc_info`` is the result of `sys.exc_info`."""
    if in_own_thread():
        pending.append((message, args, exc_info))
    else:
        logger.warning(message, *args, exc_info=exc_info)


def log_pending() -> None:
    """Log, in a greenlet, the warnings of our threads."""
    while pending and not in_own_thread():
        try:
            message, args, exc_info = pending.popleft()
        except IndexError:  # another greenlet took the last one
            return
        logger.warning(message, *args, exc_info=exc_info)


def _is_first(key: str) -> bool:
    """Return True at the first call with a key. Takes no lock: signal handlers call it too."""
    mark = object()
    return _reported.setdefault(key, mark) is mark


def warn_once(key: str, message: str, *args: object) -> None:
    """Log one WARNING for each key, such as ``setting:OTEL_PROPAGATORS``."""
    if _is_first(key):
        warn(message, *args)


def internal_failure(what: str) -> None:
    """Log the exception being handled, once for each ``what``: "eco2-tracing failed at <what>"."""
    if _is_first(f"internal:{what}"):
        warn(
            "eco2-tracing failed at %s; the application goes on, this is logged once",
            what,
            exc_info=sys.exc_info(),
        )


class guarded:  # noqa: N801 - reads as a statement: `with guarded("naming a span"):`
    """Context manager that logs an exception once for each ``what`` and suppresses it.

    Only `Exception` is caught, and ``but`` is a type of exceptions that are raised. On the path of every request, a
    `try` statement that calls `internal_failure` costs less and does the same.
    """

    __slots__ = ("_but", "_what")

    def __init__(self, what: str, *, but: type[Exception] | tuple[()] = ()) -> None:
        self._what = what
        self._but = but

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if kind is None or not issubclass(kind, Exception) or issubclass(kind, self._but):
            return False
        internal_failure(self._what)
        return True


_Default = TypeVar("_Default")


def attempt(what: str, function: Callable[..., _Default], *args: object, default: _Default) -> _Default:
    """Call a function; return ``default`` if it raises, which is logged as by `internal_failure`."""
    with guarded(what):
        return function(*args)
    return default


def attempt_silently(function: Callable[..., _Default], *args: object, default: _Default) -> _Default:
    """Call a function on objects of the application; return ``default`` if it raises anything, `SystemExit` included.

    Nothing is logged: the caller reports the object, or replaces it by a mark that says what it was.
    """
    try:
        return function(*args)
    except BaseException:  # noqa: BLE001 - methods of the application's objects run here
        return default


def result_or_error(function: Callable[..., _Default], *args: object) -> _Default | Exception:
    """Call a function of another package, such as an entry point; return what it raised, for the caller's report."""
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001 - code of another package
        return error


def forget_warnings() -> None:
    """Log again what was logged once."""
    _reported.clear()


def renew_guard() -> None:
    """In a child process: drop the threads' warnings, which the parent logs."""
    forget_threads()
    pending.clear()
