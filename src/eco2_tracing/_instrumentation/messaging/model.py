"""What the spans of messages say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.messaging.headers import Headers


@dataclass(frozen=True, slots=True)
class Client:
    """What is known of a producer or consumer.

    Attributes:
        system: The conventions' name of what the broker is.
        host: The broker's.
        port: The broker's.
        details: More attributes of each of its spans.
    """

    system: str
    host: str | None = None
    port: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def attributes(self, operation: str, kind: str, destination: str) -> dict[str, Any]:
        """Give the attributes of one operation."""
        known = {
            "messaging.system": self.system,
            "messaging.operation.name": operation,
            "messaging.operation.type": kind,
            "messaging.destination.name": destination,
            "server.address": self.host,
            "server.port": self.port,
            **self.details,
        }
        return {name: value for name, value in known.items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class Message:
    """What a consumer got.

    Attributes:
        target: What its span is named after: a topic, an exchange or a queue.
        destination: The same, as the conventions write it in full.
        headers: Its headers.
        details: More attributes of its span.
        source: The client's own object, where it says by itself when it is done with.
    """

    target: str
    destination: str
    headers: Headers | None
    details: Mapping[str, Any]
    source: object = None


def target_of(messages: Sequence[Message]) -> str:
    """Name the span of messages."""
    return ", ".join(sorted({message.target for message in messages}))


def described(client: Client, operation: str, kind: str, messages: Sequence[Message]) -> dict[str, Any]:
    """Give the attributes of the span of messages."""
    if len(messages) == 1:
        return {**client.attributes(operation, kind, messages[0].destination), **messages[0].details}
    destinations = {message.destination for message in messages}
    destination = destinations.pop() if len(destinations) == 1 else ""
    attributes = client.attributes(operation, kind, destination)
    attributes["messaging.batch.message_count"] = len(messages)
    return attributes
