"""The thread that collects metrics at each interval."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.context import attach, detach

from eco2_tracing._forks import renew_in_child
from eco2_tracing._guard import guarded
from eco2_tracing._native import Lock, NativeThread, Signal, wait
from eco2_tracing._untraced import SUPPRESSED

if TYPE_CHECKING:
    from collections.abc import Callable


class Ticker:
    """Calls a function at each interval, in a thread that the first measurement of a process starts.

    The function waits for locks of the SDK, which another thread, or a signal handler's own thread, may hold.
    Therefore a flush never calls it in the calling thread if the thread can be started.

    Args:
        tick: Collects and queues metrics.
        interval_s: Seconds between two calls.
    """

    def __init__(self, tick: Callable[[], None], interval_s: float) -> None:
        self._tick = tick
        self._interval_s = interval_s
        self._is_stopped = False
        self._reset()
        renew_in_child(self)

    def _reset(self) -> None:
        self.is_running = False
        self._starting = Lock()
        self._thread: NativeThread | None = None
        self._wakeup: Signal = Signal()
        self._waiting: deque[Signal] = deque()

    def start(self) -> None:
        """Start the thread, unless it runs or the ticker is stopped."""
        # A signal handler that interrupts a start must not wait for the lock.
        if self._is_stopped or not self._starting.acquire(blocking=False):
            return
        try:
            if not self.is_running:
                # Callbacks of the application run in it: under gevent it is a greenlet.
                thread = NativeThread(self._run, "eco2-tracing-metrics", external=True)
                thread.start()
                self._thread, self.is_running = thread, True
        except RuntimeError:  # the interpreter is shutting down or has no more threads
            pass
        finally:
            self._starting.release()

    def _run(self) -> None:
        token = attach(SUPPRESSED)
        try:
            while True:
                wait(self._wakeup, self._interval_s, background=True)
                if self._is_stopped:
                    return
                self._call()
        finally:
            detach(token)

    def _call(self) -> None:
        waiting = list(self._waiting)
        with guarded("collecting metrics"):
            self._tick()
        for done in waiting:
            self._waiting.remove(done)
            done.put(None)

    def flush(self, timeout_s: float) -> bool:
        """Call the function now; return True if it has returned in time."""
        self.start()
        thread = self._thread
        if thread is None or not thread.is_alive():
            self._call()
            return True
        done: Signal = Signal()
        self._waiting.append(done)
        self._wakeup.put(None)
        return wait(done, timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Call the function a last time and end the thread; return True if it has returned in time."""
        if self._is_stopped:
            return True
        in_time = self.flush(timeout_s)
        self._is_stopped = True
        self._wakeup.put(None)
        return in_time

    def after_fork(self) -> None:
        """In a forked child: the thread is the parent's."""
        self._reset()
