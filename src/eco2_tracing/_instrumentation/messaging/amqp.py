"""What the two clients of RabbitMQ have in common."""

from __future__ import annotations

from typing import Any

from eco2_tracing._instrumentation.messaging.headers import outgoing
from eco2_tracing._instrumentation.messaging.model import Message

_SERVER_NAMED = "amq."
_ANONYMOUS = "(anonymous)"


def headers_for(given: dict[str, Any] | None, host: str | None) -> dict[str, Any]:
    """Give a message's headers with the trace context in them; those given stay as they are."""
    return dict(outgoing((given or {}).items(), host))


def published(exchange: str, routing_key: str) -> tuple[str, str]:
    """Name what is published to.

    Args:
        exchange: Its name, empty for the default one.
        routing_key: As published with.

    Returns:
        What the span is named after, and the destination in full. The former leaves out routing keys, which hold ids
        as often as not, but for the default exchange, where they are the names of queues.
    """
    return exchange or queue_name(routing_key), ":".join(filter(None, (exchange, routing_key)))


def queue_name(name: str) -> str:
    """Name a queue; those that the server makes up are no names."""
    return _ANONYMOUS if not name or name.startswith(_SERVER_NAMED) else name


def details(routing_key: str, properties: Any, tag: Any = None) -> dict[str, Any]:
    """Give the attributes that a message has beside those of every message.

    Args:
        routing_key: As published with.
        properties: Its properties, or anything that has the two ids.
        tag: What it is acknowledged by.
    """
    known = {
        "messaging.rabbitmq.destination.routing_key": routing_key,
        "messaging.rabbitmq.message.delivery_tag": tag,
        "messaging.message.id": getattr(properties, "message_id", None),
        "messaging.message.conversation_id": getattr(properties, "correlation_id", None),
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def consumed(
    queue: str, exchange: str, routing_key: str, headers: Any, known: dict[str, Any], source: object = None
) -> Message:
    """Describe a message that came from a queue."""
    parts = dict.fromkeys(filter(None, (exchange, routing_key, queue)))
    return Message(queue_name(queue), ":".join(parts), (headers or {}).items(), known, source)
