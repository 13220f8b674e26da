"""Shared by the two clients of RabbitMQ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eco2_tracing._instrumentation.common.carrier_headers import outgoing
from eco2_tracing._instrumentation.messaging.model import Message, without_empty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

    Table = Mapping[str, object]
    """The headers of an AMQP message, with values of any kind."""

_SERVER_NAMED = "amq."
_ANONYMOUS = "(anonymous)"


def headers_for(given: Table | None, host: str | None) -> dict[str, object]:
    """Return a message's headers with trace context; the given ones are not changed."""
    return dict(outgoing((given or {}).items(), host))


def published(exchange: str, routing_key: str) -> tuple[str, str]:
    """Return the names of a destination.

    Args:
        exchange: The exchange; empty for the default one.
        routing_key: The routing key.

    Returns:
        The name in the span's name, and the full destination. The former has no routing key, which often has ids,
        except with the default exchange, where it is the name of a queue.
    """
    return exchange or queue_name(routing_key), ":".join(filter(None, (exchange, routing_key)))


def queue_name(name: str) -> str:
    """Return a queue's name; names that the server generates are replaced."""
    return _ANONYMOUS if not name or name.startswith(_SERVER_NAMED) else name


def details(routing_key: str, properties: object, tag: int | None = None) -> dict[str, AttributeValue]:
    """Return the attributes of an AMQP message.

    Args:
        routing_key: The routing key.
        properties: An object with ``message_id`` and ``correlation_id``.
        tag: The delivery tag.
    """
    return without_empty(
        {
            "messaging.rabbitmq.destination.routing_key": routing_key,
            "messaging.rabbitmq.message.delivery_tag": tag,
            "messaging.message.id": getattr(properties, "message_id", None),
            "messaging.message.conversation_id": getattr(properties, "correlation_id", None),
        }
    )


def consumed(
    queue: str,
    exchange: str,
    routing_key: str,
    headers: Table | None,
    attributes: Mapping[str, AttributeValue],
    source: object = None,
) -> Message:
    """Describe a message of a queue."""
    parts = dict.fromkeys(filter(None, (exchange, routing_key, queue)))
    return Message(queue_name(queue), ":".join(parts), (headers or {}).items(), attributes, source)
