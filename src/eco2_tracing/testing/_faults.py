"""Faults that a receiver injects on request, and the requests that it received."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

OK = "ok"  # the recorded answer to a request without a fault


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One export request, successful or not.

    Attributes:
        transport: `grpc`, `http` or `zipkin`.
        headers: Headers or metadata with lower-case names, without binary metadata.
        size: Bytes of the uncompressed message.
        compression: `content-encoding` of an HTTP request; `""` for none and for gRPC,
            whose server does not expose it.
        spans: The number of spans in the request.
        answer: `ok`, the name of the gRPC status code, or the HTTP status code.
    """

    transport: str
    headers: Mapping[str, str] = field(hash=False)
    size: int
    compression: str
    spans: int
    answer: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of one response; the default is none.

    Attributes:
        grpc_code: The name of the gRPC status code of a failure.
        http_status: The HTTP status code of a failure.
        message: The error message.
        retry_after_s: Seconds in `Retry-After` (HTTP) and `RetryInfo` (gRPC).
        delay_s: Seconds before the response.
        rejected: The number of spans rejected by partial success, counted from the end.
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
        """Inject a fault into the next responses.

        Args:
            fault: The fault.
            times: The number of requests; `None` means until the next call.
        """
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
