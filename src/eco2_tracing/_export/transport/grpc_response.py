"""A response to one gRPC call."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Answer:
    """A response.

    Attributes:
        status: The HTTP status.
        headers: Headers and trailers together.
        data: The body, as far as it is of interest.
        reset: gRPC status of a stream that the server broke off.
        overloaded: The server broke it off because it is asked too much.
        reusable: The connection can take another call.
        ended: Nothing more will come.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    reset: int | None = None
    overloaded: bool = False
    reusable: bool = True
    ended: bool = False

    @property
    def has_status(self) -> bool:
        """True unless the stream was broken off before its gRPC status."""
        return self.reset is None or "grpc-status" in self.headers
