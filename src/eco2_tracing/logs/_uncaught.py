"""Uncaught exceptions and warnings as log lines.

Python writes them to stderr as text of several lines. Hooks that were installed before are still called.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from eco2_tracing._redaction import printable

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
IsWritten = Callable[[Callable[[], None]], bool]


class UncaughtHooks:
    """Logs uncaught exceptions of the main thread, of other threads and of finalizers, and captures warnings.

    ``is_written`` calls its argument, which logs a line. If it returns False, Python's own hook runs.
    """

    __slots__ = ("_before", "_captures_warnings", "_is_on", "_is_written")

    def __init__(self, is_written: IsWritten) -> None:
        self._is_written = is_written
        self._is_on = False
        self._captures_warnings = False
        self._before = (sys.excepthook, threading.excepthook, sys.unraisablehook)

    def install(self) -> None:
        """Install the hooks, unless they are installed."""
        if self._is_on:
            return
        self._is_on = True
        self._before = (sys.excepthook, threading.excepthook, sys.unraisablehook)
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._main, self._thread, self._unraisable
        before = warnings.showwarning
        logging.captureWarnings(True)
        self._captures_warnings = warnings.showwarning is not before

    def undo(self) -> None:
        """Restore the former hooks, except where others have been installed since."""
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
        # Ctrl-C is not logged; at a prompt, Python prints.
        is_logged = issubclass(kind, Exception) and not hasattr(sys, "ps1")
        if is_logged:
            exc_info = (kind, error, traceback)
            is_logged = self._log("sys.excepthook", logging.CRITICAL, exc_info, "uncaught exception")
        if not is_logged or before is not sys.__excepthook__:
            before(kind, error, traceback)

    def _thread(self, args: threading.ExceptHookArgs) -> None:
        before = self._before[1]
        name = "unknown" if args.thread is None else args.thread.name
        # `SystemExit` ends a thread without output.
        is_logged = isinstance(args.exc_value, Exception) and self._log(
            "threading.excepthook", logging.ERROR, (args.exc_type, args.exc_value, args.exc_traceback),
            "uncaught exception in thread %s", name,
        )  # fmt: skip
        if not is_logged or before is not threading.__excepthook__:
            before(args)

    def _unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        before = self._before[2]
        is_logged = unraisable.exc_value is not None and self._log(
            "sys.unraisablehook", logging.ERROR,
            (unraisable.exc_type, unraisable.exc_value, unraisable.exc_traceback),
            # The object as text: a record that keeps the object itself would resurrect it.
            "%s: %s", unraisable.err_msg or "Exception ignored in", printable(unraisable.object),
        )  # fmt: skip
        if not is_logged or before is not sys.__unraisablehook__:
            before(unraisable)

    def _log(self, logger: str, level: int, exc_info: ExcInfo, message: str, *args: object) -> bool:
        """Log an exception. Never raises; returns True if the line was written."""

        def log() -> None:
            logging.getLogger(logger).log(level, message, *args, exc_info=exc_info)

        if self._is_on:
            with suppress(Exception):  # a handler that fails: Python's own hook reports the exception
                return self._is_written(log)
        return False
