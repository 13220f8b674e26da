"""Shared by the three clients of Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from eco2_tracing._guard import attempt, guarded
from eco2_tracing._instrumentation.common.carrier_headers import outgoing
from eco2_tracing._instrumentation.messaging.model import Client, Message

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    from eco2_tracing._instrumentation.common.carrier_headers import Headers
    from eco2_tracing._instrumentation.common.replacement import Args, Kwargs


class Record(Protocol):
    """A record of kafka-python and aiokafka."""

    topic: str
    partition: int
    offset: int
    headers: Headers


def client_of(
    servers: str | Iterable[str] | None, client_id: str | None = None, group: str | None = None
) -> Client:
    """Describe a producer or consumer.

    Args:
        servers: Its bootstrap servers; the first one stands for the cluster.
        client_id: Its own name.
        group: A consumer's group.
    """
    first = servers if isinstance(servers, str) else next(iter(servers or ()), "")
    host, port = _host_and_port(first.partition(",")[0].strip().rpartition("://")[2])
    return Client(
        "kafka", host, port, {"messaging.client.id": client_id, "messaging.consumer.group.name": group}
    )


def _host_and_port(server: str) -> tuple[str | None, int | None]:
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdecimal():
        return server or None, None
    return host.strip("[]"), int(port)


def message(topic: str, partition: int, offset: int, headers: Headers | None) -> Message:
    """Describe a message without its key, which may be a person's name."""
    details: dict[str, AttributeValue] = {
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }
    return Message(topic, topic, headers, details)


def messages_of(records: Iterable[Record]) -> list[Message]:
    """Describe records."""
    return [message(record.topic, record.partition, record.offset, record.headers) for record in records]


def grouped(found: Mapping[object, Iterable[Record]]) -> list[Message]:
    """Describe the records of a poll, which are grouped by partition."""
    return messages_of(record for partition in found.values() for record in partition)


def with_headers(args: Args, kwargs: Kwargs, position: int, host: str | None) -> tuple[Args, Kwargs]:
    """Return the arguments of a call that sends, with trace context in the headers.

    Args:
        args: The application's arguments.
        kwargs: The application's keyword arguments.
        position: The position of the headers among the former.
        host: The broker's host.

    Returns:
        The new arguments; the given ones if the client does not accept their headers.
    """
    with guarded("writing the headers of a message"):
        given = args[position] if len(args) > position else kwargs.get("headers")
        if given is not None and not isinstance(given, list | dict):
            return args, kwargs
        pairs = outgoing(given.items() if isinstance(given, dict) else given or (), host)
        # Values of the application stay as they are; ours are text, and Kafka sends bytes.
        values = [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]
        headers = dict(values) if isinstance(given, dict) else values
        if len(args) > position:
            return (*args[:position], headers, *args[position + 1 :]), kwargs
        return args, {**kwargs, "headers": headers}
    return args, kwargs


def topic_of(args: Args, kwargs: Kwargs) -> str:
    """Return the first argument of a call that sends."""
    return str(args[0] if args else kwargs.get("topic"))


def known(describe: Callable[[], Client]) -> Client:
    """Describe a client; without attributes if that fails."""
    return attempt("describing a client of Kafka", describe, default=Client("kafka"))
