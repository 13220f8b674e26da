"""The faults that a receiver injects into its responses."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of one response, of gRPC and of HTTP; the default is none.

    `retry_after_s` is sent in `Retry-After` (HTTP) and `RetryInfo` (gRPC), after a delay. `rejected` spans, counted
    from the end, are rejected by partial success.
    """

    grpc_code: str | None = None
    http_status: int | None = None
    message: str = ""
    retry_after_s: float | None = None
    delay_s: float = 0.0
    rejected: int = 0


class FaultPlan:
    """The fault of the next requests: for a number of them, or until it is replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fault = Fault()
        self._left: int | None = None
        self._released = threading.Event()

    def set(self, fault: Fault, times: int | None) -> None:
        """Inject a fault into a number of responses; `None` means until the next call."""
        with self._lock:
            self._fault, self._left = fault, times
            self._released = threading.Event()

    def take(self) -> tuple[Fault, threading.Event]:
        """The fault of a new request, and the event that ends its delay early."""
        with self._lock:
            if self._left is None:
                return self._fault, self._released
            if self._left == 0:
                return Fault(), self._released
            self._left -= 1
            return self._fault, self._released

    def clear(self) -> None:
        """Remove the fault; delayed responses are sent now."""
        with self._lock:
            self._fault, self._left = Fault(), None
            self._released.set()
