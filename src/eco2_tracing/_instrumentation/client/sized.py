"""Attempts whose spans record the sizes of the bodies, for ``ECO2_TRACING_CAPTURE=sizes``."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import guarded
from eco2_tracing._instrumentation.client.call import ClientCall
from eco2_tracing._instrumentation.common.body_sizes import (
    REQUEST_SIZE,
    RESPONSE_SIZE,
    BodySize,
    content_length,
    has_response_body,
)

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.http_attributes import Request
    from eco2_tracing._instrumentation.common.state import InstrumentationState
    from eco2_tracing.sampling._tail.local_trace import LocalTrace

_BASES = frozenset({"SyncByteStream", "AsyncByteStream"})


class SizedCall(ClientCall):
    """An attempt whose bodies are counted where they have no `content-length`."""

    _request_size: int | None = None
    _sent: BodySize
    _received: BodySize | None = None

    def __init__(self, state: InstrumentationState, request: Request, local: LocalTrace) -> None:
        super().__init__(state, request, local)
        self._measure(request)

    def restart(self, request: Request) -> None:
        """Restart the span at the inner transport that sends the request."""
        super().restart(request)
        self._measure(request)

    def _measure(self, request: Any) -> None:
        self._sent = BodySize()
        with guarded("reading the size of a body"):
            self._request_size = content_length(request.headers.raw)
            if self._request_size is None and "transfer-encoding" in request.headers:
                request.stream = _counted(request.stream, self._sent)

    def count(self, response: Any) -> None:
        """Count the body of a response that has no `content-length`."""
        if content_length(self._response_headers) is None:
            self._received = BodySize()
            response.stream = _counted(response.stream, self._received)

    def describe_attributes(self) -> dict[str, AttributeValue]:
        """Return the attributes with the sizes of the bodies."""
        attributes = super().describe_attributes()
        sent = self._sent.passed if self._request_size is None else self._request_size
        if sent is not None:
            attributes[REQUEST_SIZE] = sent
        if has_response_body(self.method, self._status_code):
            counted = self._received
            received = content_length(self._response_headers) if counted is None else counted.passed
            if received is not None:
                attributes[RESPONSE_SIZE] = received
        return attributes


class _CountedStream:
    """A stream of httpx or httpx2 whose parts are counted. It refers to no span: requests may live long."""

    def __init__(self, stream: Any, size: BodySize) -> None:
        self._eco2_counted = stream
        self._eco2_size = size

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("_eco2_counted"), name)

    def __iter__(self) -> Iterator[bytes]:
        for part in self._eco2_counted:
            self._eco2_size.add(part)
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._eco2_counted:
            self._eco2_size.add(part)
            yield part

    def close(self) -> None:
        self._eco2_counted.close()

    async def aclose(self) -> None:
        await self._eco2_counted.aclose()


def _counted(stream: Any, size: BodySize) -> _CountedStream:
    """Return a counted stream. An earlier attempt's count of the same stream ends."""
    if isinstance(stream, _CountedStream):
        stream = stream._eco2_counted
    return _class_for(tuple(kind for kind in type(stream).__mro__ if kind.__name__ in _BASES))(stream, size)


@functools.cache
def _class_for(bases: tuple[type, ...]) -> type[_CountedStream]:
    """Return a class of counted streams that derives from the package's, because the package checks types."""
    return type("CountedStream", (_CountedStream, *bases), {})
