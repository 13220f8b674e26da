"""Requests whose spans record the sizes of the bodies, for ``ECO2_TRACING_CAPTURE=sizes``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.common.body_sizes import (
    REQUEST_SIZE,
    RESPONSE_SIZE,
    BodySize,
    content_length,
    has_response_body,
)
from eco2_tracing._instrumentation.common.http_attributes import make_headers_reusable
from eco2_tracing._instrumentation.server.recorded import RecordedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.http_attributes import Message, Receive

_WHAT = "reading the size of a body"
_MALFORMED = (AttributeError, LookupError, TypeError, ValueError)
"""What a message or a header raises that ASGI does not allow. `guarded` would cost more."""


class SizedRequest(RecordedRequest):
    """A request whose bodies are counted where they have no `content-length`."""

    _received: BodySize | None = None
    _declared: int | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._sent = BodySize()

    def watch(self, receive: Receive) -> Receive:
        """Record disconnects of the peer, and count the body; return the ``receive`` to use."""
        if content_length(self._arrived["headers"]) is not None:
            return super().watch(receive)
        size = self._received = BodySize()

        async def counted() -> Message:
            message = await receive()
            try:
                size.add(message.get("body"))
            except _MALFORMED:
                internal_failure(_WHAT)
            return message

        return super().watch(counted)

    def send(self, message: Message) -> Awaitable[None]:
        """Count a message of the application, and send it."""
        try:
            if message["type"] == "http.response.start":
                make_headers_reusable(message)
                self._declared = content_length(message.get("headers"))
            elif self._declared is None:
                self._sent.add(message.get("body"))
        except _MALFORMED:
            internal_failure(_WHAT)
        return super().send(message)

    def describe_attributes(self) -> dict[str, AttributeValue]:
        """Return the attributes with the sizes of the bodies."""
        attributes = super().describe_attributes()
        for name, declared, size in (
            (REQUEST_SIZE, content_length(self._arrived["headers"]), self._received),
            (RESPONSE_SIZE, self._declared, self._sent),
        ):
            found = size.passed if declared is None and size is not None else declared
            if found is not None:
                attributes[name] = found
        if not has_response_body(self._arrived.get("method"), self._status_code):
            attributes.pop(RESPONSE_SIZE, None)
        return attributes
