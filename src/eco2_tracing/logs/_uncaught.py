"""Uncaught exceptions and warnings as log lines.

Python writes them to stderr as several lines of text. Hooks that others have installed are called as before.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from types import TracebackType

from eco2_tracing._redaction import printable

IsWritten = Callable[[Callable[[], None]], bool]


class UncaughtHooks:
    """Logs uncaught exceptions of the main thread, of other threads and of finalisers, and captures warnings.

    Args:
        is_written: Calls what it is given and returns whether the line was written; if not, Python's own hook runs.
    """

    __slots__ = ("_before", "_captures_warnings", "_is_on", "_is_written")

    def __init__(self, is_written: IsWritten) -> None:
        self._is_written = is_written
        self._is_on = False
        self._captures_warnings = False
        self._before = (sys.excepthook, threading.excepthook, sys.unraisablehook)

    def install(self) -> None:
        """Put the hooks in front of those that are there. Does nothing the second time."""
        if self._is_on:
            return
        self._is_on = True
        self._before = (sys.excepthook, threading.excepthook, sys.unraisablehook)
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._main, self._thread, self._unraisable
        before = warnings.showwarning
        logging.captureWarnings(True)
        self._captures_warnings = warnings.showwarning is not before

    def undo(self) -> None:
        """Take the hooks out, where nobody has put others in front of them."""
        if not self._is_on:
            return
        self._is_on = False
        main, thread, unraisable = self._before
        if sys.excepthook == self._main:
            sys.excepthook = main
        if threading.excepthook == self._thread:
            threading.excepthook = thread
        if sys.unraisablehook == self._unraisable:
            sys.unraisablehook = unraisable
        if self._captures_warnings:
            logging.captureWarnings(False)

    def _main(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        before = self._before[0]
        is_program = issubclass(kind, Exception) and not hasattr(
            sys, "ps1"
        )  # Ctrl-C and a prompt are Python's
        log = logging.getLogger("sys.excepthook")
        if (
            not is_program
            or not self._logs(lambda: log.critical("uncaught exception", exc_info=(kind, error, traceback)))
            or before is not sys.__excepthook__
        ):
            before(kind, error, traceback)

    def _thread(self, args: threading.ExceptHookArgs) -> None:
        before = self._before[1]
        error = args.exc_value
        log = logging.getLogger("threading.excepthook")
        name = "unknown" if args.thread is None else args.thread.name
        if (
            error is None
            or not isinstance(error, Exception)  # `SystemExit` ends a thread without a word
            or not self._logs(
                lambda: log.error(
                    "uncaught exception in thread %s",
                    name,
                    exc_info=(type(error), error, args.exc_traceback),
                )
            )
            or before is not threading.__excepthook__
        ):
            before(args)

    def _unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        before = self._before[2]
        error = unraisable.exc_value
        log = logging.getLogger("sys.unraisablehook")
        if (
            error is None
            or not self._logs(
                lambda: log.error(
                    "%s: %s",
                    unraisable.err_msg or "Exception ignored in",
                    printable(
                        unraisable.object
                    ),  # as text: a record that keeps the object would bring it back
                    exc_info=(type(error), error, unraisable.exc_traceback),
                )
            )
            or before is not sys.__unraisablehook__
        ):
            before(unraisable)

    def _logs(self, write: Callable[[], None]) -> bool:
        """Write a line, if the hooks are on; never raises."""
        if not self._is_on:
            return False
        try:
            return self._is_written(write)
        except Exception:  # noqa: BLE001 - Python's own hook says both
            return False
