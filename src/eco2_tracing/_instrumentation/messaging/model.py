"""The attributes of messaging spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.util.types import AttributeValue

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.common.outgoing_headers import Headers

BODY_SIZE = "messaging.message.body.size"
Details = Mapping[str, AttributeValue | None]
"""Attributes; those without a value are left out."""


def without_empty(details: Details) -> dict[str, AttributeValue]:
    """Return the attributes that have a value."""
    return {name: value for name, value in details.items() if value is not None and value != ""}


def size_of(body: object) -> int | None:
    """Return the size of a message's body in bytes; ``None`` if it is not known. Text is sent as UTF-8."""
    if isinstance(body, str):
        body = body.encode("utf-8", "replace")
    return len(body) if isinstance(body, bytes | bytearray) else None


@dataclass(frozen=True, slots=True)
class Client:
    """A producer or consumer.

    Attributes:
        system: The broker's name in the conventions.
        host: The broker's host.
        port: The broker's port.
        details: Further attributes of its spans.
    """

    system: str
    host: str | None = None
    port: int | None = None
    details: Details = field(default_factory=dict)

    def attributes(self, operation: str, kind: str, destination: str) -> dict[str, AttributeValue]:
        """Return the attributes of one operation."""
        return without_empty(
            {
                "messaging.system": self.system,
                "messaging.operation.name": operation,
                "messaging.operation.type": kind,
                "messaging.destination.name": destination,
                "server.address": self.host,
                "server.port": self.port,
                **self.details,
            }
        )


@dataclass(frozen=True, slots=True)
class Message:
    """A received message.

    Attributes:
        target: The topic, exchange or queue that names its span.
        destination: The full destination by the conventions.
        headers: Its headers.
        details: Further attributes of its span.
        source: The client's own object, if the client reports when that is processed.
    """

    target: str
    destination: str
    headers: Headers | None
    details: Mapping[str, AttributeValue]
    source: object = None


def target_of(messages: Sequence[Message]) -> str:
    """Return the part of a span's name that stands for messages."""
    return ", ".join(sorted({message.target for message in messages}))


def described(
    client: Client, operation: str, kind: str, messages: Sequence[Message]
) -> dict[str, AttributeValue]:
    """Return the attributes of the span of messages."""
    if len(messages) == 1:
        return {**client.attributes(operation, kind, messages[0].destination), **messages[0].details}
    destinations = {message.destination for message in messages}
    destination = destinations.pop() if len(destinations) == 1 else ""
    attributes = client.attributes(operation, kind, destination)
    attributes["messaging.batch.message_count"] = len(messages)
    return attributes


def incoming(headers: Headers | None) -> Context:
    """Extract the trace context of a message.

    Args:
        headers: The message's headers; names in any case, values of any kind. Of equal names the last one counts.

    Returns:
        A new context, with the producer's span as the current one if the headers name it.
    """
    carrier: dict[str, str] = {}
    for name, value in headers or ():
        if isinstance(value, bytes):
            carrier[name.lower()] = value.decode("latin-1")
        elif isinstance(value, str):
            carrier[name.lower()] = value
    return propagate.extract(carrier, Context())
