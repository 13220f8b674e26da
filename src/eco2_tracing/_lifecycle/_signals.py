"""SIGTERM without a lifespan: a bounded flush comes first, and the signal goes on.

uvicorn handles SIGTERM itself, puts the former handlers back when it is done, and raises the signal
again: the process dies of it before ``atexit``. It also loads the application after it has taken the
signal, so there is no former handler of ours to put back. Blocking the signal for the main thread,
once uvicorn has been told, leaves it pending: the interpreter ends in order, ``atexit`` flushes and
lets the signal through.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from eco2_tracing._guard import internal_failure

_SIGNAL = signal.SIGTERM


class TerminationHandler:
    """Our part of the process's SIGTERM handling.

    Args:
        flush: Delivers what is queued, bounded; must not raise.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._previous: Any = None
        self._installed = False
        self._blocked = False

    def install(self) -> None:
        """Take the signal, or stand before the handler that has it. Only in the main thread.

        Safe to call at any time: a server may have taken the signal since the last call, as the
        workers of gunicorn do after the fork.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        current = signal.getsignal(_SIGNAL)
        if current is None or current is signal.SIG_IGN or getattr(current, "__self__", None) is self:
            return
        self._previous = current
        signal.signal(_SIGNAL, self._handle)
        self._installed = True

    def remove(self) -> None:
        """Undo ``install``, unless somebody has taken the signal from us since."""
        if (
            self._installed
            and threading.current_thread() is threading.main_thread()
            and getattr(signal.getsignal(_SIGNAL), "__self__", None) is self
        ):
            signal.signal(_SIGNAL, self._previous)
        self._installed = False

    def release(self) -> None:
        """Let a signal through that was held back for ``atexit``: the process dies of it here."""
        if self._blocked:
            self._blocked = False
            signal.signal(_SIGNAL, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {_SIGNAL})

    def _handle(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous
        if callable(previous):
            previous(number, frame)
            if _is_uvicorn(previous):
                self._blocked = True
                signal.pthread_sigmask(signal.SIG_BLOCK, {_SIGNAL})
            return
        try:
            self._flush()
        except Exception:
            internal_failure("the flush at SIGTERM")
        signal.signal(_SIGNAL, signal.SIG_DFL)
        signal.raise_signal(_SIGNAL)


def _is_uvicorn(handler: Any) -> bool:
    return type(getattr(handler, "__self__", None)).__module__.startswith("uvicorn")
