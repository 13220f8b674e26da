"""The interfaces of httpx and httpx2 that are used, for annotations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from eco2_tracing._instrumentation.common.http_attributes import Request

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.client.call import ClientCall
    from eco2_tracing._instrumentation.common.state import ExternalAttempt

    Attempt = ClientCall | ExternalAttempt


class Stream(Protocol):
    """The body of a response."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...

    def aclose(self) -> Awaitable[None]: ...


class Response(Protocol):
    """A response."""

    headers: object
    status_code: int
    extensions: dict[str, bytes]
    is_closed: bool
    stream: Stream


Send = Callable[[object, Request], Response]
"""A method of a client or transport that sends a request."""
AsyncSend = Callable[[object, Request], Awaitable[Response]]
Watch = Callable[["Response", "Attempt", bool], None]
"""Replaces the body of a response. The last argument is true if the body is encoded."""
