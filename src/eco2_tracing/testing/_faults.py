"""What a receiver does wrong on request, and what it was sent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

# How a request that went well is recorded.
OK = "ok"


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One export request, whatever was answered.

    Attributes:
        transport: ``grpc``, ``http`` or ``zipkin``.
        headers: Headers or metadata with lower-case names, binary metadata left out.
        size: Bytes of the message, uncompressed.
        compression: ``content-encoding`` of an HTTP request; ``""`` for none and for gRPC,
            whose server does not tell.
        spans: How many spans the request held.
        answer: ``ok``, the gRPC status code's name, or the HTTP status code.
    """

    transport: str
    headers: Mapping[str, str] = field(hash=False)
    size: int
    compression: str
    spans: int
    answer: str


@dataclass(frozen=True, slots=True)
class Fault:
    """How to answer one request; a plain one is answered with success.

    Attributes:
        grpc_code: Name of the gRPC status code to fail with.
        http_status: HTTP status code to fail with.
        message: What to say about the failure or the rejection.
        retry_after_s: Seconds of ``Retry-After`` (HTTP) and ``RetryInfo`` (gRPC).
        delay_s: Seconds to wait before the answer.
        rejected: How many spans to reject in a partial success, the last ones.
    """

    grpc_code: str | None = None
    http_status: int | None = None
    message: str = ""
    retry_after_s: float | None = None
    delay_s: float = 0.0
    rejected: int = 0


class FaultPlan:
    """The faults to come: one at a time, for a number of requests or until told otherwise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fault = Fault()
        self._left: int | None = None
        self._released = threading.Event()

    def set(self, fault: Fault, times: int | None) -> None:
        """Answer the next requests this way.

        Args:
            fault: How to answer.
            times: How many requests; ``None`` means until the next call.
        """
        with self._lock:
            self._fault, self._left = fault, times
            self._released = threading.Event()

    def take(self) -> tuple[Fault, threading.Event]:
        """The fault for a request that has just come, and what ends its delay early."""
        with self._lock:
            if self._left is None:
                return self._fault, self._released
            if self._left == 0:
                return Fault(), self._released
            self._left -= 1
            return self._fault, self._released

    def clear(self) -> None:
        """Answer with success again, and answer delayed requests now."""
        with self._lock:
            self._fault, self._left = Fault(), None
            self._released.set()
