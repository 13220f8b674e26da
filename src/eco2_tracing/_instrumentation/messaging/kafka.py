"""What the three clients of Kafka have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eco2_tracing._guard import internal_failure
from eco2_tracing._instrumentation.messaging.headers import outgoing
from eco2_tracing._instrumentation.messaging.model import Client, Message


def client_of(servers: Any, client_id: Any = None, group: Any = None) -> Client:
    """Describe a producer or consumer.

    Args:
        servers: Its bootstrap servers, as a text or a sequence; the first one stands for the cluster.
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


def message(topic: str, partition: int, offset: int, headers: Any) -> Message:
    """Describe a message; its key is left out, which may well be somebody's name."""
    details = {"messaging.destination.partition.id": str(partition), "messaging.kafka.offset": offset}
    return Message(topic, topic, headers, details)


def described(client: Client, records: Iterable[Any]) -> tuple[Client, list[Message]]:
    """Describe records as kafka-python and aiokafka have them."""
    found = [message(record.topic, record.partition, record.offset, record.headers) for record in records]
    return client, found


def with_headers(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], position: int, host: str | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Put the trace context into the arguments of a call that sends.

    Args:
        args: As the service gave them.
        kwargs: As the service gave them.
        position: Where the headers are among the former.
        host: The broker's.

    Returns:
        What to call with. What the client would refuse it is given, to refuse it.
    """
    try:
        given = args[position] if len(args) > position else kwargs.get("headers")
        if given is not None and not isinstance(given, list | dict):
            return args, dict(kwargs)
        pairs = outgoing(given.items() if isinstance(given, dict) else given or (), host)
        # A value that the service gave is what it was; ours are text, and bytes on the way.
        values = [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]
        headers = dict(values) if isinstance(given, dict) else values
        if len(args) > position:
            return (*args[:position], headers, *args[position + 1 :]), dict(kwargs)
        return args, {**kwargs, "headers": headers}
    except Exception:  # noqa: BLE001 - arguments are the service's, and so is their refusal
        internal_failure("writing the headers of a message")
        return args, dict(kwargs)


def argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], position: int, name: str) -> Any:
    """Find an argument."""
    return args[position] if len(args) > position else kwargs.get(name)


def guarded(describe: Callable[[], Client]) -> Client:
    """Describe a client, or do without where that fails."""
    try:
        return describe()
    except Exception:  # noqa: BLE001 - it is read from the client's own parts
        internal_failure("describing a client of Kafka")
        return Client("kafka")
